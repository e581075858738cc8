"""The 16x compressor between SAM and CLIP (DeepSeek-OCR, section 3.2.2): 4,096 patches become 256 tokens."""

from torch import Tensor, nn

from foveate.config import SamConfig


class Compressor(nn.Module):
    """Two 3x3 convolutions of stride 2: (B, 256, H, W) to (B, 1024, H / 4, W / 4)."""

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        middle, out = config.downsample_channels
        # Named as in the released checkpoint.
        self.net_2 = nn.Conv2d(config.neck_channels, middle, 3, stride=2, padding=1, bias=False)
        self.net_3 = nn.Conv2d(middle, out, 3, stride=2, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return self.net_3(self.net_2(features))  # type: ignore[no-any-return]
