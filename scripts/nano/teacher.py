"""The network with what helps it to learn, and its losses.

Everything here but the network itself is thrown away at the end: the codes, a head that names characters from
SAM's features of their 16-pixel patches, and heads that tell from each decoder layer where on the page the
next token stands. Some attention heads of later decoder layers are shown where to look.

B pages · T tokens · H, W vision tokens along a side · D the decoder's width
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from batches import IGNORE, Batch
from codes import Codes, Glance, blur
from spelling import Spelling
from text import ALPHABET
from torch import Tensor, nn

from foveate.model.attention import rotate
from foveate.model.experts import Router
from foveate.model.ocr import OCR
from foveate.pages.mode import CELL
from foveate.pages.tokenizer import Tokenizer

Losses = dict[str, Tensor]
BIN, CELLS = 8, 16  # pixels of a place in a cell, and the most cells along a side
LINES, SPELT = 4, 3  # parts of a cell's height, and characters of a token that are asked for


class Teacher(nn.Module):
    """Losses by name, each a mean in nats; names that end with `right` are shares."""

    def __init__(self, model: OCR, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.model = model
        self.spelling = Spelling(tokenizer, model.config.decoder.vocab_size, model.config.decoder.hidden_size)
        config = model.config
        self.codes = Codes(config.decoder.hidden_size)
        self.ground = nn.Parameter(ground(config.sam.grid // 4, config.decoder.hidden_size))
        self.glance = Glance(config.sam.neck_channels)
        self.guided = [layer.self_attn for layer in model.decoder.layers]
        width, layers = config.decoder.hidden_size, config.decoder.num_hidden_layers
        names = len(ALPHABET) + 2  # the space and the line's end too
        self.spell_heads = nn.ModuleList(nn.Linear(width, SPELT * names) for _ in range(layers - 3))
        self.register_buffer(
            "first_characters", first_characters(tokenizer, config.decoder.vocab_size), persistent=False
        )
        self.spot_heads = nn.ModuleList(nn.Linear(width, 4 * CELLS) for _ in range(layers - 1))

    def told(self, batch: Batch, letters: Tensor) -> Tensor:
        """The tokens that say these letters, (B, H, W, D)."""
        b, side = len(batch.pixels), batch.pixels.shape[-1] // 64
        return self.codes(letters, b, side * side).view(b, side, side, -1) + self.ground[:, :side, :side]

    def seen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The encoder's tokens (B, H, W, D), and SAM's features (B, H * 4, W * 4, C)."""
        encoder, features = self.model.encoder, self.features(batch)
        return encoder.contextualise(encoder.compressor(features)), features.permute(0, 2, 3, 1)

    def features(self, batch: Batch) -> Tensor:
        """SAM's features (B, C, H * 4, W * 4)."""
        grey = batch.pixels[:, None].float().div(127.5).sub(1)
        features: Tensor = self.model.encoder.sam(grey.expand(-1, 3, -1, -1))
        return features

    def sam_losses(self, batch: Batch) -> Losses:
        """Telling the characters apart from SAM's features."""
        loss, right = self.glance(self.features(batch).permute(0, 2, 3, 1), batch.letters)
        return {"patch": loss, "patch_right": right}

    def code_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Telling the characters apart from the sums of their codes, as an encoder might write them."""
        tokens = self.told(batch, blur(batch.letters, generator, wrong=0.0, lost=0.0)).flatten(1, 2)
        noise = torch.randn(tokens.shape, generator=generator, device=tokens.device) * tokens.detach().std()
        loss, right, starts = self.codes.name(tokens + 0.2 * noise, batch.letters)
        return {"name": loss, "name_right": right, "start_right": starts}

    def decoder_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Reading from codes, without an encoder."""
        tokens = self.told(batch, blur(batch.letters, generator))
        noise = torch.randn(tokens.shape, generator=generator, device=tokens.device) * tokens.detach().std()
        return self.reading(batch, tokens + 0.2 * noise)

    def encoder_losses(self, batch: Batch) -> Losses:
        """Telling characters apart, and writing their codes."""
        tokens, features = self.seen(batch)
        losses = {}
        losses["name"], losses["name_right"], losses["start_right"] = self.codes.name(
            tokens.flatten(1, 2), batch.letters
        )
        if self.glance.project.weight.requires_grad:
            losses["patch"], losses["patch_right"] = self.glance(features, batch.letters)
        losses["code"] = self.distance(batch, tokens)
        return losses

    def whole_losses(self, batch: Batch, coded: bool) -> Losses:
        """The whole network on pixels; `coded` when its tokens are to stay sums of codes."""
        tokens, _ = self.seen(batch)
        losses = self.reading(batch, tokens)
        if coded:
            losses["name"], losses["name_right"], losses["start_right"] = self.codes.name(
                tokens.flatten(1, 2), batch.letters
            )
            losses["code"] = self.distance(batch, tokens)
        return losses

    def distance(self, batch: Batch, tokens: Tensor) -> Tensor:
        """Mean square of what the tokens lack, in variances of the codes."""
        with torch.no_grad():
            wanted = self.told(batch, batch.letters)
        return F.mse_loss(tokens.float(), wanted) / wanted.var()

    def reading(self, batch: Batch, tokens: Tensor) -> Losses:
        """Next-token loss of the answers, and how well the guided heads look."""
        with self.watching() as caught:
            pages = [self.model.encoder.arrange(page, None, (1, 1)) for page in tokens]
            x = self.embed(batch.ids, torch.cat(pages))
            places = torch.arange(batch.ids.shape[1], device=x.device)[None].expand_as(batch.ids)
            hidden = self.model.decoder(x, places)
        asked = batch.labels != IGNORE
        rows = self.model.decoder.lm_head.weight + self.spelling.rows(self.spelling.write)
        logits = F.linear(hidden[asked], rows).float()
        losses = {"text": F.cross_entropy(logits, batch.labels[asked])}
        losses["text_right"] = (logits.argmax(-1) == batch.labels[asked]).float().mean()
        for name, wanted in guides(batch.guide, batch.spots).items():
            modules = [(self.guided[layer], head, cells) for layer, head, cells in wanted]
            looked = [guide_loss(module, caught[module][0], head, cells) for module, head, cells in modules]
            losses[name] = torch.stack(looked).mean()
        losses["spell"], losses["spell_right"] = self.spell(batch.labels, caught)
        losses["spot"], losses["spot_right"] = self.spotting(batch.spots, caught)
        routed = [balance(caught[m][1]) for m in self.model.modules() if isinstance(m, Router)]
        losses["balance"] = torch.stack(routed).mean()
        return losses

    def embed(self, ids: Tensor, vision: Tensor) -> Tensor:
        """As `OCR.embed`, with what the spellings add: (B, T) to (B, T, D)."""
        rows = self.model.decoder.embed_tokens.weight + self.spelling.rows(self.spelling.read)
        places = ids == self.model.config.image_token_id
        return F.embedding(ids, rows).masked_scatter(places[..., None], vision)

    def settle(self) -> OCR:
        """The network, with what the spellings add written into its rows."""
        with torch.no_grad():
            self.model.decoder.lm_head.weight += self.spelling.rows(self.spelling.write)
            self.model.decoder.embed_tokens.weight += self.spelling.rows(self.spelling.read)
            self.spelling.write.zero_()
            self.spelling.read.zero_()
        return self.model

    @contextmanager
    def watching(self) -> Iterator[dict[nn.Module, tuple[Any, Any]]]:
        """Inputs and outputs of the guided attentions and of the routers."""
        caught: dict[nn.Module, tuple[Any, Any]] = {}
        routers = [module for module in self.model.modules() if isinstance(module, Router)]
        routers += list(self.model.decoder.layers)
        hooks = [
            module.register_forward_hook(lambda m, i, o: caught.__setitem__(m, (i, o)))
            for module in [*self.guided, *routers]
        ]
        try:
            yield caught
        finally:
            for hook in hooks:
                hook.remove()

    def spotting(self, spots: Tensor, caught: dict[nn.Module, tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
        """Loss of telling where the next token stands: the cell's column and row, and the place in it in 8
        pixels; and the share of the last layer's that name the cell and are off by a place at most.

        Places inside the cell are asked for, not places on the page: those are what a cell is read by.
        """
        known = spots[..., 0] >= 0
        wanted = torch.cat([spots[known] // CELL, spots[known] % CELL // BIN], dim=1)  # (N, 4)
        losses, close = [], torch.zeros(())
        for layer, head in zip(self.model.decoder.layers, self.spot_heads, strict=False):
            x = caught[layer][1][known]
            scores = head(F.layer_norm(x, x.shape[-1:])).float().view(-1, 4, CELLS)
            losses.append(F.cross_entropy(scores.flatten(0, 1), wanted.flatten()))
            off = (scores.argmax(-1) - wanted).abs()
            close = (off <= torch.tensor([0, 0, 1, 1], device=off.device)).all(-1).float().mean()
        return torch.stack(losses).mean(), close

    def spell(self, labels: Tensor, caught: dict[nn.Module, tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
        """Loss of naming the next token's first characters from the last layers but one, and the share of its
        first ones that the last of these names right."""
        asked = labels != IGNORE
        wanted = self.first_characters[labels[asked]]  # (N, SPELT)
        losses, right = [], torch.zeros(())
        for layer, head in zip(self.model.decoder.layers[2:], self.spell_heads, strict=False):
            x = caught[layer][1][asked]
            scores = head(F.layer_norm(x, x.shape[-1:])).float().view(len(x), SPELT, -1)
            losses.append(F.cross_entropy(scores.flatten(0, 1), wanted.flatten(), ignore_index=IGNORE))
            named = wanted[:, 0] != IGNORE
            right = (scores[:, 0].argmax(-1) == wanted[:, 0])[named].float().mean()
        return torch.stack(losses).mean(), right


def ground(side: int, width: int) -> Tensor:
    """What every cell says of its place from the start: a vector of its row and one of its column,
    (1, side, side, D)."""
    return 0.7 * (torch.randn(1, side, 1, width) + torch.randn(1, 1, side, width))


def guides(guide: Tensor, spots: Tensor) -> dict[str, list[tuple[int, int, Tensor]]]:
    """What the guided heads look for: layer, head, and places (B, T).

    A token of several cells is spelt from one after the other, so there are heads for its first cell, its
    second and its third; others find the last cell of what has just been written. Four heads of a layer share
    a cell's lines: each looks at the cell when its own quarter of the height is to be read and else at the
    sequence's first token, so that it need pass on one line only. Choosing is easier for attention than for
    the layers behind it.
    """
    last = guide.gather(2, ((guide >= 0).sum(2, keepdim=True) - 1).clamp(min=0))[..., 0]
    behind = torch.cat([torch.full_like(last[:, :1], -1), last[:, :-1]], dim=1)
    first, second = guide[..., 0], guide[..., 1]
    line = torch.where(spots[..., 1] >= 0, spots[..., 1] % CELL // (CELL // LINES), -1)
    found = {
        "next": [(1, 0, first), (4, 0, first)],
        "behind": [(1, 1, behind), (2, 4, behind)],
        "second": [(4, 1, second)],
        "third": [(4, 2, guide[..., 2])],
        "line": [],
    }
    for layer, cells in ((2, first), (3, second)):
        for number in range(LINES):
            own = torch.where((line == number) & (cells >= 0), cells, 0)
            found["line"].append((layer, number, torch.where(line >= 0, own, -1)))
    return found


def first_characters(tokenizer: Tokenizer, rows: int) -> Tensor:
    """Numbers of each token's first characters, (rows, SPELT), IGNORE beyond its end."""
    known = {character: number for number, character in enumerate(ALPHABET + " \n")}
    table = torch.full((rows, SPELT), IGNORE)
    for token in range(len(tokenizer)):
        for place, character in enumerate(tokenizer.decode([token])[:SPELT]):
            table[token, place] = known.get(character, IGNORE)
    return table


def guide_loss(attention: nn.Module, inputs: tuple[Any, ...], number: int, cells: Tensor) -> Tensor:
    """How little one head looks at the vision tokens at `cells` (B, T), where they are not -1."""
    x, rotary, width = inputs[0], inputs[1], attention.head_dim
    rows = slice(number * width, (number + 1) * width)
    q = rotate(F.linear(x, attention.q_proj.weight[rows])[:, None], rotary)[:, 0]
    k = rotate(F.linear(x, attention.k_proj.weight[rows])[:, None], rotary)[:, 0]
    page, place = (cells >= 0).nonzero().unbind(1)
    if not len(page):
        return x.new_zeros(())
    scores = (q.float() @ k.float().transpose(1, 2)) / math.sqrt(width)  # (B, T, T)
    length = scores.shape[-1]
    later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
    share = scores.masked_fill(later, -torch.inf)[page, place]
    return F.cross_entropy(share, cells[page, place])


def balance(routed: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The router's balance loss (Switch Transformers, eq. 4): 1 when all experts share alike."""
    _, experts, probabilities = routed
    count = probabilities.shape[-1]
    load = F.one_hot(experts, count).float().sum((0, 1)) / experts.numel()
    return count * (load * probabilities.mean(0)).sum()
