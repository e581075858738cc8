"""The network with what helps it to learn, and its losses.

Everything here but the network itself is thrown away at the end: the codes, a head that names characters from
SAM's features of their 16-pixel patches, and the helps of the decoder. Those are:
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
from batches import IGNORE, Batch
from codes import PART, PLACE, ROWS, STRIPE, Codes, Glance, blur, shares
from spelling import Spelling
from text import ALPHABET
from torch import Tensor, nn

from foveate.model.attention import rotate
from foveate.model.experts import Router
from foveate.model.ocr import OCR
from foveate.pages.mode import CELL
from foveate.pages.tokenizer import Tokenizer

Losses = dict[str, Tensor]
PLACES = 16  # in a cell, each way; and the most cells along a side
# Layers: the last token is looked for by itself; what those before say is put together; its line is read,
# and with it the next token's place; that is read; and the cell to its right.
SEEN, TRACKED, FOUND, FIRST, SECOND = range(5)
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
        self.guided = [layer.self_attn for layer in model.decoder.layers]
        width = config.decoder.hidden_size
        names = len(ALPHABET) + 2  # the space and the line's end too
        self.spell_heads = nn.ModuleList(nn.Linear(width, SPELT * names) for _ in (FIRST, SECOND))
        self.register_buffer(
            "first_characters", first_characters(tokenizer, config.decoder.vocab_size), persistent=False
        )
        self.place = nn.Parameter(torch.linalg.qr(torch.randn(width, 4 * PLACES))[0].T, requires_grad=False)
        self.share_told = 0.0

    def set_up(self) -> None:
        """The decoder begins by finding and reading tokens by construction; training goes on from there.

        In layers FIRST and SECOND each head finds the cell, by comparing the place that was said with what
        the cells say of theirs, looks at it as much as its stripe is near, and passes it on as the codes' own
        reader does. Their experts go by the place across.
        """
        self.match()
        self.pass_on((FOUND, FIRST, SECOND))
        self.seek()
        self.look_back()
        columns, rows, across, down = self.place.view(4, PLACES, -1)
        bins = (torch.arange(PLACES) + 0.5) * CELL / PLACES
        bos = F.normalize(
            self.model.decoder.embed_tokens.weight[self.model.config.decoder.bos_token_id], dim=0
        )
        with torch.no_grad():
            for layer in (FIRST, SECOND):
                attention = self.guided[layer]
                half = attention.head_dim // 2
                slow = slice(half - PLACE, half), slice(2 * half - PLACE, 2 * half)  # they hardly turn
                for head in range(ROWS):
                    own = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
                    q, k = attention.q_proj.weight[own].zero_(), attention.k_proj.weight[own].zero_()
                    for part, said, cells in zip(
                        slow, (columns, rows), (self.codes.columns, self.codes.rows), strict=True
                    ):
                        basis = torch.linalg.svd(cells, full_matrices=False)[2][:PLACE]
                        there = F.normalize(cells @ basis.T, dim=1)
                        if layer == SECOND and said is columns:
                            there = there.roll(-1, 0)
                        q[part] = 1.6 * there.T @ said
                        k[part] = 1.6 * basis
                    q[half - PLACE - 1] = (1.14 - 0.49 * shares(bins, ROWS)[:, head]) @ down
                    k[half - PLACE - 1] = 2.2 * bos
                gate = self.model.decoder.layers[layer].mlp.gate.weight
                gate.copy_(1.2 * shares(bins, len(gate)).T @ across)

    def pass_on(self, layers: tuple[int, ...]) -> None:
        """Heads of these layers pass on stripes as the codes' own reader does, each to its layer's room."""
        bos = F.normalize(
            self.model.decoder.embed_tokens.weight[self.model.config.decoder.bos_token_id], dim=0
        )
        with torch.no_grad():
            for layer in layers:
                attention, write = self.guided[layer], self.room(layer - 1)
                for head in range(ROWS):
                    own = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
                    passed = self.codes.stripe[head]
                    attention.v_proj.weight[own] = passed - (passed @ bos)[:, None] * bos
                    attention.o_proj.weight[:, own] = (2 if layer == FOUND else 1) * write.T

    def room(self, number: int) -> Tensor:
        """Room 0 (STRIPE, D) of the hidden states is for the code of the last character, the others for lines
        that a layer passes on; none of them is for places, and rooms 0, 1 and 2 have nothing in common."""
        generator = torch.Generator().manual_seed(11)
        rooms = torch.randn(3 * STRIPE, self.place.shape[1], generator=generator)
        rooms = torch.linalg.qr((rooms - rooms @ self.place.T @ self.place).T)[0].T.view(3, STRIPE, -1)
        if number < 3:
            return rooms[number]
        free = torch.randn(STRIPE, self.place.shape[1], generator=generator.manual_seed(11 + number))
        return torch.linalg.qr((free - free @ self.place.T @ self.place).T)[0].T

    def seek(self) -> None:
        """The heads of layer SEEN begin by passing on column and row of the cells that they look at."""
        attention = self.guided[SEEN]
        with torch.no_grad():
            attention.v_proj.weight.zero_()
            attention.o_proj.weight.zero_()
            for head in range(ROWS):
                begin = head * attention.head_dim
                for said, cells in zip(
                    self.place.view(4, PLACES, -1)[:2], (self.codes.columns, self.codes.rows), strict=True
                ):
                    basis = torch.linalg.svd(cells, full_matrices=False)[2][:PLACE]
                    there = F.normalize(cells @ basis.T, dim=1)
                    own = slice(begin, begin + PLACE)
                    attention.v_proj.weight[own] = basis
                    attention.o_proj.weight[:, own] = (torch.linalg.pinv(there) @ said).T
                    begin += PLACE

    def look_back(self) -> None:
        """Four heads of layer TRACKED begin by passing on what other tokens said: the next one's place is
        near theirs. The column and row of cells and the height are taken over, the rest goes elsewhere.
        """
        attention, width = self.guided[TRACKED], self.place.shape[1]
        elsewhere = self.room(FIRST)[:PLACES]
        written = self.place.view(4, PLACES, -1).clone()
        written[2] = elsewhere
        with torch.no_grad():
            for weight in (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight):
                nn.init.normal_(weight, std=width**-0.5)
            nn.init.normal_(attention.o_proj.weight, std=0.3 * width**-0.5)
            for head, share in enumerate((1.0, 0.5, 0.3, 0.5)):
                own = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
                attention.v_proj.weight[own] = self.place
                attention.o_proj.weight[:, own] = share * written.flatten(0, 1).T

    def match(self) -> None:
        """Layer FOUND begins by finding the last character in the line that it has just passed on.

        Its code is part of the embedding, and the gated unit of the shared expert multiplies it with the
        line's: silu(c) l - silu(-c) l = c l. Where they agree, the next token stands a little behind.
        """
        known, last = self.room(1), self.room(0)
        across = self.place.view(4, PLACES, -1)[2]
        expert = self.model.decoder.layers[FOUND].mlp.shared_experts
        with torch.no_grad():
            embedding = self.model.decoder.embed_tokens.weight
            layers = self.model.decoder.layers[:FOUND]
            writing = [layer.self_attn.o_proj.weight.T for layer in layers]
            writing.append(layers[0].mlp.down_proj.weight.T)
            for table in (embedding, self.spelling.read, *writing):
                for room in (last, known):
                    table -= table @ room.T @ room
            for number, character in enumerate(ALPHABET):
                mark = self.spelling.known.get(("last", 0, character))
                if mark is not None:
                    self.spelling.read[mark] += (
                        2.0 * F.normalize(self.codes.character[number], dim=0) * 8 @ last
                    )
            assert expert.gate_proj.weight.shape[0] == 2 * STRIPE
            expert.gate_proj.weight.copy_(torch.cat([last, -last]))
            expert.up_proj.weight.copy_(torch.cat([known, -known]))
            bins = torch.arange(PLACES)
            behind = (2 * (torch.arange(STRIPE) // PART) + 4) % PLACES  # about 12 pixels
            apart = (bins[None] - behind[:, None]).abs()
            near = torch.exp(-0.5 * (torch.minimum(apart, PLACES - apart) / 1.2) ** 2)
            expert.down_proj.weight.copy_((0.7 * near @ across).repeat(2, 1).T)

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
        loss, right = self.glance(self.features(batch).permute(0, 2, 3, 1), batch.letters)
        return {"patch": loss, "patch_right": right}

    def code_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Telling the characters apart from the sums of their codes, as an encoder might write them."""
        tokens = self.told(batch, blur(batch.letters, generator, wrong=0.0, lost=0.0))
        noise = torch.randn(tokens.shape, generator=generator, device=tokens.device) * tokens.detach().std()
        loss, right, starts = self.codes.name(tokens + 0.2 * noise, batch.letters)
        return {"name": loss, "name_right": right, "start_right": starts}

    def decoder_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Reading from codes, without an encoder."""
        tokens = self.told(batch, blur(batch.letters, generator))
        noise = torch.randn(tokens.shape, generator=generator, device=tokens.device) * tokens.detach().std()
        return self.reading(batch, tokens + 0.2 * noise, generator)

    def encoder_losses(self, batch: Batch) -> Losses:
        """Telling characters apart, and writing their codes."""
        tokens, features = self.seen(batch)
        losses = {}
        losses["name"], losses["name_right"], losses["start_right"] = self.codes.name(tokens, batch.letters)
        if self.glance.project.weight.requires_grad:
            losses["patch"], losses["patch_right"] = self.glance(features, batch.letters)
        losses["code"] = self.distance(batch, tokens)
        return losses

    def whole_losses(self, batch: Batch, coded: bool, generator: torch.Generator) -> Losses:
        """The whole network on pixels; `coded` when its tokens are to stay sums of codes."""
        learning = next(self.model.encoder.projector.parameters()).requires_grad
        with torch.set_grad_enabled(learning):
            tokens, _ = self.seen(batch)
        losses = self.reading(batch, tokens, generator)
        if coded and learning:
            losses["name"], losses["name_right"], losses["start_right"] = self.codes.name(
                tokens, batch.letters
            )
            losses["code"] = self.distance(batch, tokens)
        return losses

    def distance(self, batch: Batch, tokens: Tensor) -> Tensor:
        """Mean square of what the tokens lack, in variances of the codes."""
        with torch.no_grad():
            wanted = self.told(batch, batch.letters)
        return F.mse_loss(tokens.float(), wanted) / wanted.var()

    def reading(self, batch: Batch, tokens: Tensor, generator: torch.Generator) -> Losses:
        """Next-token loss of the answers, and how well the helps are answered."""
        b, columns = len(batch.ids), tokens.shape[1]
        told = torch.rand(b, generator=generator, device=tokens.device) < self.share_told
        with self.watching(batch.spots, told) as caught:
            pages = [self.model.encoder.arrange(page, None, (1, 1)) for page in tokens]
            x = self.embed(batch.ids, torch.cat(pages))
            places = torch.arange(batch.ids.shape[1], device=x.device)[None].expand_as(batch.ids)
            hidden = self.model.decoder(x, places)
        asked = batch.labels != IGNORE
        rows = self.model.decoder.lm_head.weight + self.spelling.rows(self.spelling.write)
        logits = F.linear(hidden[asked], rows).float()
        losses = {"text": F.cross_entropy(logits, batch.labels[asked])}
        right = (logits.argmax(-1) == batch.labels[asked]).float()
        helped = told[:, None].expand_as(asked)[asked]
        for name, chosen in (("text_right", ~helped), ("told_right", helped)):
            if chosen.any():
                losses[name] = right[chosen].mean()
        for name, layer, heads in guides(batch.guide, batch.spots, columns, generator):
            module = self.guided[layer]
            losses[name] = guide_loss(module, caught[module][0], heads)
        losses["spell"], losses["spell_right"] = self.spell(batch.labels, caught)
        for layer in (TRACKED, FOUND):
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
        hooks.append(layers[FOUND].register_forward_hook(lambda m, i, o: self.tell(o, spots, told)))
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
        wanted = places_of(spots[known])  # (N, 4, PLACES)
        x = x[known]
        scores = 2.0 * F.linear(F.layer_norm(x, x.shape[-1:]), self.place).float().view(-1, 4, PLACES)
        loss = -(wanted * scores.log_softmax(-1)).sum(-1).mean()
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
    last = guide.gather(2, ((guide >= 0).sum(2, keepdim=True) - 1).clamp(min=0))[..., 0]
    behind, first = before(last), guide[..., 0]
    known = spots[..., 0] >= 0
    right = torch.where(known & (spots[..., 0] // CELL + 1 < columns), first + 1, -1)
    height, whole = spots[..., 1], torch.ones_like(spots[..., 1], dtype=torch.float32)
    places = torch.arange(spots.shape[1], device=spots.device)[None].expand_as(height)
    back = [(head, torch.where(known, places - 1 - head, -1), whole) for head in range(3)]
    return [
        ("seek", SEEN, stripes(behind, before(height))),
        ("back", TRACKED, [*back, (3, same_line(height, generator), whole)]),
        ("behind", FOUND, stripes(behind, before(height))),
        ("first", FIRST, stripes(first, height)),
        ("second", SECOND, stripes(right, height)),
        ("third", SECOND + 1, [(0, first, whole), (1, right, whole)]),
    ]


def same_line(height: Tensor, generator: torch.Generator) -> Tensor:
    """For each token an earlier one, drawn at random, whose next stands at the same height, (B, T), or -1."""
    length = height.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=height.device).tril(-1)
    same = (height[:, :, None] == height[:, None]) & (height[:, :, None] >= 0) & earlier
    drawn = torch.rand(same.shape, generator=generator, device=height.device) * same
    return torch.where(same.any(2), drawn.argmax(2), -1)


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


def guide_loss(attention: nn.Module, inputs: tuple[Any, ...], heads: Guide) -> Tensor:
    """How little heads look at the vision tokens that they are shown, and else at the first token."""
    x, rotary, width = inputs[0], inputs[1], attention.head_dim
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
