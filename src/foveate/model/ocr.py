"""The whole network: DeepEncoder, decoder, and vision tokens in the place of image tokens.

B sequences · T tokens · D the decoder's width · V vocabulary
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from foveate.config import OCRConfig
from foveate.model.attention import sequence_mask
from foveate.model.decoder import Decoder
from foveate.model.deep_encoder import DeepEncoder, Views


class OCR(nn.Module):
    """DeepSeek-OCR (arXiv 2510.18234) in any size that `OCRConfig` describes."""

    def __init__(self, config: OCRConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = DeepEncoder(config)
        self.decoder = Decoder(config.decoder)

    @property
    def device(self) -> torch.device:
        return self.decoder.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.decoder.norm.weight.dtype

    def encode(self, pages: Sequence[Views]) -> list[Tensor]:
        """Each page's vision tokens, (tokens, D)."""
        return self.encoder(pages)  # type: ignore[no-any-return]

    def embed(self, input_ids: Tensor, vision: Sequence[Tensor]) -> Tensor:
        """Token ids (B, T) to embeddings (B, T, D); image tokens take the vision tokens, row by row in order.

        Raises `ValueError` when there are more or fewer image tokens than vision tokens.
        """
        x: Tensor = self.decoder.embed_tokens(input_ids)
        if not vision:
            return x
        places = input_ids == self.config.image_token_id
        tokens = torch.cat(list(vision)).to(x.dtype)
        if int(places.sum()) != len(tokens):
            raise ValueError(f"{int(places.sum())} image tokens in the prompts, {len(tokens)} vision tokens")
        return x.masked_scatter(places[..., None], tokens)

    def forward(
        self,
        input_ids: Tensor,
        pages: Sequence[Views] = (),
        attention_mask: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, T, V) in fp32 for ids (B, T), without a cache.

        `attention_mask` (B, T) is 0 on padding, on either side; positions count real tokens alone.
        `prompt_lengths` (B,) say where the answers begin: the window of a sliding-window configuration starts
        to slide there.
        """
        x = self.embed(input_ids, self.encode(pages) if pages else ())
        length = input_ids.shape[1]
        window = self.config.decoder.sliding_window if prompt_lengths is not None else None
        if attention_mask is None:
            positions = torch.arange(length, device=x.device).expand(len(x), length)
        else:
            positions = (attention_mask.long().cumsum(1) - 1).clamp(min=0)
        mask = None
        if attention_mask is not None or window is not None:
            mask = sequence_mask(attention_mask, prompt_lengths, window, length)
        return self.decoder.logits(self.decoder(x, positions, mask))
