"""Vision tokens of pages: made, packed into bytes with their loss measured, and read without any pixels.

N tokens of a page, newlines and separator included · D the decoder's width
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load, save
from torch import Tensor

from foveate.document import Page
from foveate.engine.engine import Engine, Reading, Request
from foveate.engine.reader import Options, Reader, page_confidence
from foveate.errors import OptionError
from foveate.model.ocr import OCR
from foveate.pages.markup import parse
from foveate.pages.mode import get_mode
from foveate.pages.prompts import prompt_name, resolve_prompt
from foveate.pages.views import make_views

LEVELS = 127  # of int8, on either side of 0


@dataclass(frozen=True)
class Ready:
    """A page as its vision tokens alone."""

    key: Any
    tokens: Tensor  # (N, D)
    mode: str
    width: int  # of the page, pixels: what its boxes are measured in
    height: int


def network_of(model: OCR) -> str:
    """A name for the encoder by its sizes and the weights that its tokens leave through.

    Vision tokens of one encoder say nothing to another network. The whole checksum would take seconds with
    large weights; these parts change with any training of the encoder.
    """
    encoder = model.encoder
    config = model.config.to_dict()
    parts = [json.dumps([config["vision_config"], model.config.decoder.hidden_size], sort_keys=True)]
    seal = hashlib.sha256(parts[0].encode())
    for weight in (*encoder.projector.parameters(), encoder.image_newline, encoder.view_separator):
        seal.update(weight.detach().to("cpu", torch.float32).numpy().tobytes())
    return seal.hexdigest()[:16]


@torch.inference_mode()
def encode(model: OCR, images: Sequence[Image.Image], mode: str) -> list[Tensor]:
    """The vision tokens (N, D) of pages in a mode."""
    views = []
    for image in images:
        made = make_views(image, get_mode(mode))
        tiles = None if made.tiles is None else made.tiles.to(model.device, model.dtype)
        views.append(replace(made, whole=made.whole.to(model.device, model.dtype), tiles=tiles))
    return model.encode(views)


def pack(tokens: Tensor, kind: str) -> tuple[bytes, float]:
    """Vision tokens as bytes, and what was lost: the norm of the difference over the norm.

    "bf16" keeps what a 16-bit network gives; "int8" has a scale for each token, in fp32.
    """
    tokens = tokens.detach().to("cpu", torch.float32)
    if kind == "bf16":
        content = save({"tokens": tokens.to(torch.bfloat16).contiguous()})
    else:
        scales = tokens.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / LEVELS  # (N, 1)
        rounded = (tokens / scales).round().clamp(-LEVELS, LEVELS).to(torch.int8)
        content = save({"tokens": rounded.contiguous(), "scales": scales.contiguous()})
    norm = float(tokens.norm())
    loss = float((unpack(content) - tokens).norm()) / norm if norm else 0.0
    return content, loss


def unpack(content: bytes) -> Tensor:
    """Packed vision tokens in fp32, (N, D)."""
    stored = load(content)
    tokens = stored["tokens"].float()
    return tokens * stored["scales"] if "scales" in stored else tokens


def read(reader: Reader, pages: Iterable[Ready], options: Options) -> Iterator[tuple[Any, Page]]:
    """Reads pages from their vision tokens alone, some at a time, as they come. Gives (key, page).

    Raises `OptionError` for tokens that do not fit the network or its places.
    """
    engine = Engine(reader.model, reader.tokenizer, reader.batch_size)
    waiting = iter(pages)
    while True:
        for page in islice(waiting, engine.batch_size - engine.load):
            engine.submit(_request(reader, page, options))
        if not engine.busy:
            return
        for progress in engine.step():
            if progress.reading.stop:
                yield progress.reading.request.key.key, _page(progress.reading, options)


def _request(reader: Reader, page: Ready, options: Options) -> Request:
    layout = get_mode(page.mode).layout(page.width, page.height)
    if len(page.tokens) != layout.sequence_length:
        raise OptionError(
            f"{len(page.tokens)} vision tokens are not those of a page in mode {page.mode}: encode it anew"
        )
    ids = reader.tokenizer.encode_prompt(resolve_prompt(options.prompt), layout.sequence_length)
    places = reader.model.config.decoder.max_position_embeddings
    longest = options.max_tokens or places
    return Request(ids, page.tokens, longest, options.sampling, page, options.returns)


def _page(reading: Reading, options: Options) -> Page:
    ready: Ready = reading.request.key
    name = prompt_name(options.prompt)
    return Page(
        number=1,
        width=ready.width,
        height=ready.height,
        blocks=tuple(parse(reading.text, ready.width, ready.height, reading.confidence, prompt=name)),
        raw=reading.text,
        mode=ready.mode,
        prompt=name,
        vision_tokens=get_mode(ready.mode).layout(ready.width, ready.height).vision_tokens,
        text_tokens=len(reading.ids),
        confidence=page_confidence(reading),
        stop=reading.stop,
    )
