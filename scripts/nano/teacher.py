"""The network with what helps it to learn, and its losses.

Everything here but the network itself stays out of what is shipped (`export --helps` keeps it, to train on):
the codes, a head that names characters from SAM's features of their 16-pixel patches, a map from these to
what they add to the codes, and the helps of the decoder. Those are:
- `place`: after its third layer a fixed vector in the residual stream says where the next token stands. It is
  asked for there, and in some pages it is told, so that the layers behind it learn to read while those
  before it still learn to find.
- guided heads: some attention heads are shown where to look.
- guided routers: where a stripe of a cell is read, the expert goes by the place across.
- `spell`: the next token's first characters are asked for from the layers behind that.

B pages · T tokens · H, W vision tokens along a side · D the decoder's width
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from batches import IGNORE, NONE, Batch
from codes import PAIR, ROWS, Addends, Codes, Glance, blur, lacking, rarest, shares, weighted
from construction import FIRST, MATCHED, PLACES, SECOND, TRACKED, Construction
from spelling import LATE, Spelling, pairs_of
from text import ALPHABET
from torch import Tensor, nn

from foveate.model.attention import rotate
from foveate.model.experts import Router
from foveate.model.ocr import OCR
from foveate.pages.mode import CELL
from foveate.pages.tokenizer import Tokenizer

Losses = dict[str, Tensor]
GUIDED = 3  # one in so many pages of a batch shows heads where to look: it costs as much as attention
MISREAD = 0.8  # share of its mistakes that it reads on from, in a batch that it has read before …
MISPLACED = 0.1  # … and of all tokens those for which it gets others, where these are as long
TURN = 5.0  # times as much counts the first token of a line, and the end
SPELT = 4  # characters of a token that are asked for


class Teacher(nn.Module):
    """Losses by name, each a mean in nats; names that end with `right` are shares."""

    def __init__(self, model: OCR, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.model = model
        self.spelling = Spelling(tokenizer, model.config.decoder.vocab_size, model.config.decoder.hidden_size)
        config = model.config
        self.codes = Codes(config.decoder.hidden_size, config.sam.grid // 4)
        self.glance = Glance(config.sam.neck_channels)
        self.addends = Addends(config.sam.neck_channels)
        self.guided = [layer.self_attn for layer in model.decoder.layers]
        width = config.decoder.hidden_size
        names = len(ALPHABET) + 2  # the space and the line's end too
        self.spell_heads = nn.ModuleList(nn.Linear(width, SPELT * names) for _ in (FIRST, SECOND))
        self.register_buffer(
            "first_characters", first_characters(tokenizer, config.decoder.vocab_size), persistent=False
        )
        texts = [tokenizer.decode([token]) for token in range(config.decoder.vocab_size)]
        self.register_buffer("lengths", torch.tensor([len(text) for text in texts]), persistent=False)
        self.register_buffer("pairs_in", pairs_in(tokenizer, config.decoder.vocab_size), persistent=False)
        self.place = nn.Parameter(torch.linalg.qr(torch.randn(width, 4 * PLACES))[0].T, requires_grad=False)
        self.share_told = 0.0

    def set_up(self) -> None:
        """The decoder begins by finding and reading tokens by construction; training goes on from there."""
        Construction(self.model.decoder, self.codes, self.spelling, self.place).build()

    def told(self, batch: Batch, letters: Tensor) -> Tensor:
        """The tokens that say these letters, (B, H, W, D)."""
        tokens: Tensor = self.codes(letters, len(batch.pixels), batch.pixels.shape[-1] // CELL)
        return tokens

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
        return self.patch_losses(batch, self.features(batch).permute(0, 2, 3, 1))

    def patch_losses(self, batch: Batch, features: Tensor) -> Losses:
        """Telling the characters apart from features (B, H * 4, W * 4, C) of patches, and from their sums."""
        losses = {}
        losses["patch"], losses["patch_right"] = self.glance(features, batch.letters)
        losses["addends"], sums = self.addends(features, batch.letters, self.codes)
        added = self.understood(self.codes.tokens(sums), batch)
        return losses | {f"sum_{name}": loss for name, loss in added.items()}

    def code_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Telling the characters apart from the sums of their codes, as an encoder might write them."""
        tokens = self.told(batch, blur(batch.letters, generator, wrong=0.0, lost=0.0))
        noise = torch.randn(tokens.shape, generator=generator, device=tokens.device) * tokens.detach().std()
        tokens = tokens + 0.2 * noise
        return self.understood(tokens, batch)

    def understood(self, tokens: Tensor, batch: Batch) -> Losses:
        """What the codes' own reader makes of tokens (B, H, W, D): which characters they hold, and in which
        of them the text goes on."""
        losses = {}
        losses["name"], losses["name_right"], losses["start_right"] = self.codes.name(tokens, batch.letters)
        columns = tokens.shape[2]
        place = before(last_cells(batch.guide)) - 1  # among the vision tokens; each row ends with a newline
        cells = torch.where(place >= 0, place // (columns + 1) * columns + place % (columns + 1), -1)
        near = shares(before(batch.spots[..., 1]).flatten() % CELL, ROWS).view(*cells.shape, ROWS)
        sought = self.sought(batch.ids)
        losses["search"], losses["found_right"] = self.codes.search(tokens, sought, cells, near)
        return losses

    def sought(self, ids: Tensor) -> Tensor:
        """What is looked for after each token: the pairs of it and of those before, (B, T, PAIR)."""
        marks = self.pairs_in[ids]  # (B, T, K)
        late = self.codes.late[torch.arange(marks.shape[2]).clamp(max=LATE)].expand_as(marks)
        pairs = F.embedding_bag(
            marks.flatten(0, 1),
            self.pair_rows(),
            mode="sum",
            per_sample_weights=late.flatten(0, 1).contiguous(),
        ).view(*ids.shape, PAIR)
        behind = [F.pad(pairs, (0, 0, back, 0))[:, : ids.shape[1]] for back in range(len(self.codes.back))]
        return torch.einsum("kbtp,k->btp", torch.stack(behind), self.codes.back)

    def pair_rows(self) -> Tensor:
        """Vectors of pairs, flat, and nothing at the end."""
        return F.pad(self.codes.pair.flatten(0, 1), (0, 0, 0, 1))

    def decoder_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Reading from codes, without an encoder."""
        tokens = self.told(batch, blur(batch.letters, generator))
        noise = torch.randn(tokens.shape, generator=generator, device=tokens.device) * tokens.detach().std()
        return self.reading(batch, tokens + 0.2 * noise, generator)

    def encoder_losses(self, batch: Batch) -> Losses:
        """Telling characters apart, and writing their codes."""
        tokens, features = self.seen(batch)
        return self.sight_losses(batch, tokens, features)

    def whole_losses(
        self, batch: Batch, coded: bool, generator: torch.Generator, reads: bool = True
    ) -> Losses:
        """The whole network on pixels; `coded` when its tokens are to stay sums of codes; the encoder alone
        where it does not read."""
        if batch.tokens is not None:
            return self.reading(batch, batch.tokens, generator)
        learning = next(self.model.encoder.projector.parameters()).requires_grad
        with torch.set_grad_enabled(learning):
            tokens, features = self.seen(batch)
        losses = self.reading(batch, tokens, generator) if reads else {}
        return losses | self.sight_losses(batch, tokens, features) if coded and learning else losses

    def sight_losses(self, batch: Batch, tokens: Tensor, features: Tensor) -> Losses:
        """How well tokens and the features of patches that they are made of say the characters."""
        losses = self.understood(tokens, batch)
        losses["code"] = self.distance(batch, tokens)
        if self.codes.character.requires_grad:
            told = self.code_losses(batch, torch.Generator(tokens.device).manual_seed(batch.step))
            losses |= {f"told_{name}": loss for name, loss in told.items()}
        trained = self.glance.project.weight.requires_grad
        return losses | self.patch_losses(batch, features) if trained else losses

    def distance(self, batch: Batch, tokens: Tensor) -> Tensor:
        """Mean square of what the tokens lack, in variances of the codes; cells with rare characters count
        for more."""
        with torch.no_grad():
            wanted = self.told(batch, batch.letters)
            cell = batch.letters[:, 0] * tokens.shape[1] * tokens.shape[2] + batch.letters[:, 1]
            counts = rarest(batch.letters[:, 4], cell, wanted[..., 0].numel())
        return lacking(tokens.float().flatten(0, 2), wanted.flatten(0, 2), counts)

    def reading(self, batch: Batch, tokens: Tensor, generator: torch.Generator) -> Losses:
        """Next-token loss of the answers, and how well the helps are answered."""
        b, columns = len(batch.ids), tokens.shape[1]
        told = torch.rand(b, generator=generator, device=tokens.device) < self.share_told
        with self.watching(batch.spots, told) as caught:
            pages = [self.model.encoder.arrange(page, None, (1, 1)) for page in tokens]
            ids = batch.ids
            if batch.tokens is not None:
                ids = batch.misread(self.lengths, MISREAD, MISPLACED, generator)
            x = self.embed(ids, torch.cat(pages))
            places = torch.arange(batch.ids.shape[1], device=x.device)[None].expand_as(batch.ids)
            hidden = self.model.decoder(x, places)
        asked = batch.labels != IGNORE
        rows = self.model.decoder.lm_head.weight + self.spelling.rows(self.spelling.write)
        logits = F.linear(hidden[asked], rows)
        heavy = turning(batch.spots)
        missed = F.nll_loss(
            logits.log_softmax(-1, dtype=torch.float32), batch.labels[asked], reduction="none"
        )
        losses = {"text": weighted(missed, heavy[asked])}
        chosen = logits.argmax(-1)
        if batch.tokens is not None:  # it will be read again
            batch.read = batch.ids.masked_scatter(asked, chosen)
        right = (chosen == batch.labels[asked]).float()
        helped = told[:, None].expand_as(asked)[asked]
        for name, where in (("text_right", ~helped), ("told_right", helped)):
            if where.any():
                losses[name] = right[where].mean()
        some = torch.randperm(b, generator=generator, device=tokens.device)[: -(-b // GUIDED)]
        for name, layer, heads in guides(batch.guide[some], batch.spots[some], columns, generator):
            module = self.guided[layer]
            losses[name] = guide_loss(module, caught[module][0], heads, some)
        losses["spell"], losses["spell_right"] = self.spell(batch.labels, caught)
        for layer in (MATCHED, TRACKED):
            block = self.model.decoder.layers[layer]
            losses[f"spot{layer}"], losses["spot_right"] = self.spotting(batch.spots, caught[block][1])
        routers = [m for m in self.model.modules() if isinstance(m, Router)]
        losses["route"] = self.routing(batch.spots, caught)
        losses["balance"] = torch.stack([balance(caught[m][1]) for m in routers]).mean()
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
    def watching(self, spots: Tensor, told: Tensor) -> Iterator[dict[nn.Module, tuple[Any, Any]]]:
        """Inputs and outputs of the guided attentions, the layers and the routers; tells places in the pages
        `told` (B,)."""
        caught: dict[nn.Module, tuple[Any, Any]] = {}
        routers = [module for module in self.model.modules() if isinstance(module, Router)]
        layers = list(self.model.decoder.layers)
        hooks = [
            module.register_forward_hook(lambda m, i, o: caught.__setitem__(m, (i, o)))
            for module in [*self.guided, *routers, *layers]
        ]
        hooks.append(layers[TRACKED].register_forward_hook(lambda m, i, o: self.tell(o, spots, told)))
        try:
            yield caught
        finally:
            for hook in hooks:
                hook.remove()

    def tell(self, x: Tensor, spots: Tensor, told: Tensor) -> Tensor:
        """Hidden states (B, T, D) that say the true places in the pages `told` (B,), not what they said."""
        if not told.any():
            return x
        here = told[:, None] & (spots[..., 0] >= 0)
        place = self.place.view(4 * PLACES, -1)
        own = x[here]
        true = 8.0 * (places_of(spots[here]).flatten(1) @ place)
        return x.index_put((here,), own - (own @ place.T) @ place + true)

    def spotting(self, spots: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of saying where the next token stands: the cell's column and row, and the place in it, each
        way; and the share that name the cell and are off by two places (8 pixels) at most.

        Places inside the cell are asked for, not places on the page: those are what a cell is read by.
        """
        known = spots[..., 0] >= 0
        counts = turning(spots)[known]
        wanted = places_of(spots[known])  # (N, 4, PLACES)
        x = x[known]
        scores = 2.0 * F.linear(F.layer_norm(x, x.shape[-1:]), self.place).float().view(-1, 4, PLACES)
        loss = weighted(-(wanted * scores.log_softmax(-1)).sum(-1).mean(-1), counts)
        off = (scores.argmax(-1) - wanted.argmax(-1)).abs()
        return loss, (off <= torch.tensor([0, 0, 2, 2], device=off.device)).all(-1).float().mean()

    def routing(self, spots: Tensor, caught: dict[nn.Module, tuple[Any, Any]]) -> Tensor:
        """Loss of choosing the experts by the place across, where cells are read."""
        known = (spots[..., 0] >= 0).flatten()
        losses = []
        for layer in (FIRST, SECOND):
            probabilities = caught[self.model.decoder.layers[layer].mlp.gate][1][2][known]
            count = probabilities.shape[1]
            wanted = shares(spots.flatten(0, 1)[known][:, 0] % CELL, count)
            losses.append(-(wanted * (probabilities + 1e-6).log()).sum(-1).mean())
        return torch.stack(losses).mean()

    def spell(self, labels: Tensor, caught: dict[nn.Module, tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
        """Loss of naming the next token's first characters from the layers that read cells, and the share
        that the last of these names right."""
        asked = labels != IGNORE
        wanted = self.first_characters[labels[asked]]  # (N, SPELT)
        losses, right = [], torch.zeros(())
        for layer, head in zip((FIRST, SECOND), self.spell_heads, strict=True):
            x = caught[self.model.decoder.layers[layer]][1][asked]
            scores = head(F.layer_norm(x, x.shape[-1:])).float().view(len(x), SPELT, -1)
            losses.append(F.cross_entropy(scores.flatten(0, 1), wanted.flatten(), ignore_index=IGNORE))
            named = wanted != IGNORE
            right = (scores.argmax(-1) == wanted)[named].float().mean()
        return torch.stack(losses).mean(), right


def places_of(spots: Tensor) -> Tensor:
    """Pixels (N, 2) as shares of places: the cell's column and row, across and down in it, (N, 4, PLACES)."""
    cells = [F.one_hot(cell, PLACES).float() for cell in (spots // CELL).unbind(1)]
    return torch.stack([*cells, *(shares(pixels, PLACES) for pixels in (spots % CELL).unbind(1))], dim=1)


Guide = list[tuple[int, Tensor, Tensor]]  # head, places (B, T) or -1, share of its look (B, T)


def guides(
    guide: Tensor, spots: Tensor, columns: int, generator: torch.Generator
) -> list[tuple[str, int, Guide]]:
    """What the guided heads look for: a name, the layer, and each head's places.

    The rest of a head's look goes to the sequence's first token. Where stripes are read, each of ROWS heads
    looks at the cell as much as its stripe is near the line: it need pass on one line only, and choosing is
    easier for attention than for the layers behind it.
    """
    known = spots[..., 0] >= 0
    there = 1 + spots[..., 1] // CELL * (columns + 1) + spots[..., 0] // CELL
    behind, first = before(last_cells(guide)), torch.where(known, there, -1)
    right = torch.where(known & (spots[..., 0] // CELL + 1 < columns), first + 1, -1)
    height, whole = spots[..., 1], torch.ones_like(spots[..., 1], dtype=torch.float32)
    places = torch.arange(spots.shape[1], device=spots.device)[None].expand_as(height)
    back = [(head, torch.where(known, places - 1 - head, -1), whole) for head in range(3)]
    return [
        ("behind", MATCHED, stripes(behind, before(height))),
        ("back", TRACKED, [*back, (3, same_line(height, generator), whole)]),
        ("first", FIRST, stripes(first, height)),
        ("second", SECOND, stripes(right, height)),
        ("third", SECOND + 1, [(0, first, whole), (1, right, whole)]),
    ]


def last_cells(guide: Tensor) -> Tensor:
    """The last of each token's cells (B, T, CELLS_PER_TOKEN): (B, T), or -1."""
    return guide.gather(2, ((guide >= 0).sum(2, keepdim=True) - 1).clamp(min=0))[..., 0]


def same_line(height: Tensor, generator: torch.Generator) -> Tensor:
    """For each token an earlier one, drawn at random, whose next stands at the same height, (B, T), or -1."""
    length = height.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=height.device).tril(-1)
    same = (height[:, :, None] == height[:, None]) & (height[:, :, None] >= 0) & earlier
    drawn = torch.rand(same.shape, generator=generator, device=height.device) * same
    return torch.where(same.any(2), drawn.argmax(2), -1)


def turning(spots: Tensor) -> Tensor:
    """How much what follows each token counts, (B, T): more where it stands in another line. Few tokens do,
    and a line that is missed costs all of it."""
    height = spots[..., 1]
    return torch.where((height >= 0) & (height != before(height)), TURN, 1.0)


def before(values: Tensor) -> Tensor:
    """Values (B, T) of the tokens before."""
    return torch.cat([torch.full_like(values[:, :1], -1), values[:, :-1]], dim=1)


def stripes(cells: Tensor, height: Tensor) -> Guide:
    """Each of ROWS heads looks at cells (B, T) as much as its stripe is near pixel `height` (B, T)."""
    known = (cells >= 0) & (height >= 0)
    near = shares(height.clamp(min=0).flatten() % CELL, ROWS).view(*height.shape, ROWS)
    chosen = torch.where(known, cells, -1)
    return [(head, chosen, near[..., head]) for head in range(ROWS)]


def first_characters(tokenizer: Tokenizer, rows: int) -> Tensor:
    """Numbers of each token's first characters, (rows, SPELT), IGNORE beyond its end."""
    known = {character: number for number, character in enumerate(ALPHABET + " \n")}
    table = torch.full((rows, SPELT), IGNORE)
    for token in range(len(tokenizer)):
        for place, character in enumerate(tokenizer.decode([token])[:SPELT]):
            table[token, place] = known.get(character, IGNORE)
    return table


def pairs_in(tokenizer: Tokenizer, rows: int) -> Tensor:
    """Numbers of each token's pairs of characters in the flat table of them, the last first, (rows, K); where
    there are no more, its end."""
    known = {character: number for number, character in enumerate(ALPHABET)} | {" ": NONE}
    spelt = [
        [
            known[a] * NONE + known[b]
            for a, b in pairs_of(tokenizer.decode([token]))
            if a in known and b in known
        ]
        for token in range(len(tokenizer))
    ]
    table = torch.full((rows, max(map(len, spelt))), (NONE + 1) * NONE)
    for token, pairs in enumerate(spelt):
        table[token, : len(pairs)] = torch.tensor(pairs[::-1], dtype=torch.long)
    return table


def guide_loss(attention: nn.Module, inputs: tuple[Any, ...], heads: Guide, pages: Tensor) -> Tensor:
    """How little heads look, in these pages, at the vision tokens that they are shown, and else at the first
    token."""
    x, width = inputs[0][pages], attention.head_dim
    rotary = tuple(part[pages] for part in inputs[1])
    b, length = x.shape[:2]
    numbers = [number for number, _, _ in heads]
    rows = torch.cat([torch.arange(number * width, (number + 1) * width) for number in numbers]).to(x.device)
    q, k = (F.linear(x, projection.weight[rows]).view(b, length, len(heads), width).transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj))  # fmt: skip
    cells, share = torch.stack([c for _, c, _ in heads], 1), torch.stack([s for _, _, s in heads], 1)
    page, head, place = (cells >= 0).nonzero().unbind(1)
    if not len(page):
        return x.new_zeros(())
    scores = (rotate(q, rotary).float() @ rotate(k, rotary).float().transpose(2, 3)) / math.sqrt(width)
    later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
    looked = scores.masked_fill(later, -torch.inf).log_softmax(-1)[page, head, place]  # (N, T)
    cells, share = cells[page, head, place], share[page, head, place]
    there = looked.gather(1, cells[:, None])[:, 0]
    return -(share * there + (1 - share) * looked[:, 0]).mean()


def balance(routed: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The router's balance loss (Switch Transformers, eq. 4): 1 when all experts share alike."""
    _, experts, probabilities = routed
    count = probabilities.shape[-1]
    load = F.one_hot(experts, count).float().sum((0, 1)) / experts.numel()
    return count * (load * probabilities.mean(0)).sum()
