"""A network cut into the stages of a pipeline, and what goes from one to the next.

The paper's four stages (DeepSeek-OCR, section 3.5.2): SAM and compressor, CLIP, and two halves of the
decoder. Everything that travels has the shape of the batch's rows, (B, T, width), whatever the pages' modes
are: a vision token has a place of its own in a row, so a row has room for all of a page's features, too.
Tokens, labels and pixels do not travel: each stage takes them from its own feeder.

B rows · T tokens of a row · C the compressor's channels · D the decoder's width · H, W tokens along a side
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.config import OCRConfig
from foveate.errors import OptionError
from foveate.model.attention import rotary_table
from foveate.model.deep_encoder import DeepEncoder, Views
from foveate.model.ocr import OCR
from foveate.training.feeding import IGNORED, Batch
from foveate.training.losses import Routing, next_token_loss
from foveate.training.precision import autocast

VIEWS = 8  # that go through the encoder at once
BLANK = 64  # pixels; the side of the view that stands in where a batch has no pages: one vision token


@dataclass(frozen=True)
class Share:
    """What one stage has of the network."""

    sam: bool = False  # with the compressor
    clip: bool = False  # with the projector and the marks between rows and views
    embeds: bool = False  # the table of token embeddings
    layers: range = range(0)  # of the decoder
    last: bool = False  # the decoder's last norm and the vocabulary

    @property
    def encodes(self) -> bool:
        return self.sam or self.clip

    @property
    def decodes(self) -> bool:
        return self.embeds or self.last or bool(self.layers)


def shares(layers: int, stages: int) -> list[Share]:
    """A network with so many decoder layers cut into stages: encoder and decoder; or SAM, CLIP and the
    decoder in even parts, the first of them the larger. Raises `OptionError`."""
    if stages == 1:
        return [Share(True, True, True, range(layers), True)]
    if stages == 2:
        return [Share(sam=True, clip=True), Share(embeds=True, layers=range(layers), last=True)]
    parts = stages - 2
    if parts > layers:
        raise OptionError(f"parallel.pipeline is {stages}: {layers} decoder layers make {layers + 2} at most")
    ends = [-(-layers * (part + 1) // parts) for part in range(parts)]
    decoder = [
        Share(embeds=part == 0, layers=range(start, end), last=part == parts - 1)
        for part, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
    ]
    return [Share(sam=True), Share(clip=True), *decoder]


@dataclass(frozen=True)
class Terms:
    """What the sums of a step are divided by, the same on all processes, so that gradients just add up."""

    targets: int  # learned tokens of all batches
    rows: int  # of all batches
    balance: float  # weight of the routers' loss


class Stage(nn.Module):
    """One stage, made of a whole network's parts under their own names; the other parts are let go.

    Takes what the stage before gives and the number of one of the batches in `batches`; gives what travels
    on, or, in the last stage, the batch's share of the step's loss.
    """

    def __init__(self, model: OCR, share: Share, precision: str = "auto") -> None:
        super().__init__()
        self.config, self.share, self.precision = model.config, share, precision
        self.blocks = [model.decoder.layers[index] for index in share.layers]
        self.batches: Sequence[Batch] = ()  # of the step; see `begin`
        self.terms = Terms(1, 1, 0.0)
        self.text = self.balance = torch.zeros(())  # sums since `begin`
        if share.encodes:
            self.encoder: DeepEncoder = model.encoder
            unwanted = [] if share.sam else ["sam", "compressor"]
            unwanted += [] if share.clip else ["clip", "projector", "image_newline", "view_separator"]
            _drop(self.encoder, unwanted)
        if share.decodes:
            self.decoder = model.decoder
            unwanted = [] if share.embeds else ["embed_tokens"]
            _drop(self.decoder, unwanted + ([] if share.last else ["norm", "lm_head"]))
            if len(self.blocks) < len(self.decoder.layers):
                names = map(str, share.layers)
                kept = dict(zip(names, self.blocks, strict=True))
                self.decoder.layers = nn.ModuleDict(kept)  # type: ignore[assignment]
        self.routing = Routing(self)

    def begin(self, batches: Sequence[Batch], terms: Terms, device: torch.device) -> None:
        """Takes a step's batches; moves to the device what this stage looks at."""
        self.batches = [
            batch.to(device)
            if self.share.sam
            else replace(replace(batch, pages=()).to(device), pages=batch.pages)
            for batch in batches
        ]
        self.terms = terms
        self.text, self.balance = torch.zeros((), device=device), torch.zeros((), device=device)
        self.routing.reset()

    def width(self) -> int:
        """Of what travels on from here."""
        return self.config.decoder.hidden_size if self.share != Share(sam=True) else self.config.clip.width

    def forward(self, *received: Tensor, number: Tensor) -> Tensor:
        batch = self.batches[int(number)]
        x = received[0] if received else None
        with autocast(self.precision, batch.ids.device):
            with self.routing.listening():
                x = self._through(x, batch)
            if self.share.last:
                text = next_token_loss(x, self.decoder.logits, batch.labels)
        balance = self.routing.loss(batch.present)
        self.balance = self.balance + balance.detach()
        wanted = balance * (self.terms.balance / self.terms.rows)
        if self.share.last:
            self.text = self.text + text.detach()
            return text / self.terms.targets + wanted
        x = x.float().contiguous()
        return attach(x, wanted) if self.share.layers else x

    def _through(self, x: Tensor | None, batch: Batch) -> Tensor:
        if self.share.sam:
            x = self.see(batch)
        if self.share.clip:
            assert x is not None
            x = self.arrange(x, batch)
        if self.share.decodes:
            assert x is not None
            x = self.think(x, batch)
        assert x is not None
        return x

    def see(self, batch: Batch) -> Tensor:
        """A batch's pixels to the compressor's features, one view after the other in the rows' places:
        (B, T, C)."""
        groups = [group.to(batch.ids.device) for group in views(batch.pages)]
        features = [
            part.flatten(2).transpose(1, 2).flatten(0, 1)  # (n, C, H, W) -> (n*H*W, C)
            for part in by_side(groups or [self._blank(batch)], self._features)
        ]
        flat = torch.cat(features) * (1.0 if groups else 0.0)
        b, t = batch.ids.shape
        return F.pad(flat, (0, 0, 0, b * t - len(flat))).view(b, t, -1)

    def _features(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.encoder.compressor(self.encoder.sam(pixels))
        return features

    def _blank(self, batch: Batch) -> Tensor:
        """One small view, so that weights that other groups use have a gradient here as well, of zero."""
        return torch.zeros(1, 3, BLANK, BLANK, device=batch.ids.device)

    def arrange(self, features: Tensor, batch: Batch) -> Tensor:
        """Features (B, T, C) to vision tokens in the places where the rows have image tokens: (B, T, D)."""
        sides = [(len(group), side_of(group, self.config)) for group in views(batch.pages)] or [(1, 1)]
        flat = features.flatten(0, 1)
        sizes = [n * side * side for n, side in sides]
        parts = torch.split(flat[: sum(sizes)], sizes)
        groups = [
            part.view(n, side, side, -1).permute(0, 3, 1, 2)  # (n*H*W, C) -> (n, C, H, W)
            for part, (n, side) in zip(parts, sides, strict=True)
        ]
        tokens = iter(by_side(groups, self.encoder.contextualise))
        b, t = batch.ids.shape
        if not batch.pages:
            unused = self.encoder.arrange(next(tokens)[0], None, (1, 1))
            return (unused.sum() * 0).expand(b, t, self.config.decoder.hidden_size)
        vision = torch.cat(
            [
                self.encoder.arrange(next(tokens)[0], None if page.tiles is None else next(tokens), page.grid)
                for page in batch.pages
            ]
        )
        places = (batch.ids == self.config.image_token_id)[..., None]
        empty = vision.new_zeros(b, t, vision.shape[-1])
        return empty.masked_scatter(places, vision)

    def think(self, x: Tensor, batch: Batch) -> Tensor:
        """This stage's layers of the decoder: (B, T, D) to (B, T, D)."""
        decoder = self.decoder
        if self.share.embeds:
            words = decoder.embed_tokens(batch.ids)
            places = (batch.ids == self.config.image_token_id)[..., None]
            x = torch.where(places, x.to(words.dtype), words)
        config = decoder.config
        rotary = rotary_table(batch.positions, config.head_dim, config.rope_theta)
        mask = batch.mask(config.sliding_window)
        for block in self.blocks:
            x = block(x, rotary, mask, None)
        return decoder.norm(x) if self.share.last else x


def _drop(module: nn.Module, names: Sequence[str]) -> None:
    for name in names:
        delattr(module, name)


def views(pages: Sequence[Views]) -> list[Tensor]:
    """The pages' views in groups of one size, in the order in which they stand in their pages' sequences'
    making: whole page, then tiles, each (n, 3, side, side)."""
    return [group for page in pages for group in (page.whole[None], page.tiles) if group is not None]


def side_of(group: Tensor, config: OCRConfig) -> int:
    """Vision tokens along a side of a group's views: patches, halved twice by the compressor."""
    patches = group.shape[-1] // config.sam.patch_size
    return ((patches + 1) // 2 + 1) // 2


def by_side(groups: Sequence[Tensor], run: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Each group (n, …, side, side) through `run`; groups of one size together, VIEWS at most."""
    results: dict[int, Tensor] = {}
    for side in sorted({group.shape[-1] for group in groups}):
        chosen = [index for index, group in enumerate(groups) if group.shape[-1] == side]
        joined = torch.cat([groups[index] for index in chosen])
        done = torch.cat([run(part) for part in torch.split(joined, VIEWS)])
        counts = [len(groups[index]) for index in chosen]
        results |= dict(zip(chosen, torch.split(done, counts), strict=True))
    return [results[index] for index in range(len(groups))]


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor) -> Tensor:
        ctx.save_for_backward(loss)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (loss,) = ctx.saved_tensors
        return grads[0], torch.ones_like(loss)


def attach(x: Tensor, loss: Tensor) -> Tensor:
    """`x`, with a loss that is minimised whenever anything that follows from `x` is."""
    attached: Tensor = _Attached.apply(x, loss)  # type: ignore[no-untyped-call]
    return attached


def pad_batch(batch: Batch, length: int, padding: int) -> Batch:
    """A batch with rows of `length` tokens."""
    more = length - batch.ids.shape[1]
    if not more:
        return batch

    def filled(tensor: Tensor, value: int) -> Tensor:
        return F.pad(tensor, (0, more), value=value)

    return replace(
        batch,
        ids=filled(batch.ids, padding),
        labels=filled(batch.labels, IGNORED),
        positions=filled(batch.positions, 0),
        segments=filled(batch.segments, 0),
        prompts=filled(batch.prompts, 0),
    )
