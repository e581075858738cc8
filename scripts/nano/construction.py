"""The decoder begins by finding and reading tokens by construction; training goes on from there.

Layer GATHERED brings the last tokens together, MATCHED looks for their pairs of characters among the stripes
of all cells and, in the line found, for the last character. TRACKED takes over what the tokens before said.
In FIRST and SECOND each head finds the cell of the place that was said, looks at it as much as its stripe is
near, and passes it on; the experts go by the place across.

T tokens · D the decoder's width
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from batches import NONE
from codes import LINE, PAIR, PART, PLACE, ROWS, STRIPE, Codes, shares
from spelling import Spelling
from text import ALPHABET
from torch import Tensor, nn

from foveate.model.decoder import Decoder
from foveate.pages.mode import CELL

PLACES = 16  # in a cell, each way; and the most cells along a side
# Layers: the last tokens are brought together; they are looked for, and with the line that they stand in the
# next token's place is found; what those before say of theirs is put together; the place is read; and the
# cell to its right.
GATHERED, MATCHED, TRACKED, FIRST, SECOND = range(5)
LOUD = 3.0  # of pairs in a token's row


class Construction:
    """Writes weights into the first layers of a decoder that reads tokens which say `codes`.

    `place` (4 * PLACES, D) are the directions in which hidden states say where the next token stands.
    """

    def __init__(self, decoder: Decoder, codes: Codes, spelling: Spelling, place: Tensor) -> None:
        self.decoder, self.codes, self.spelling, self.place = decoder, codes, spelling, place

    def build(self) -> None:
        with torch.no_grad():
            self.clear_rooms()
            self.write_rooms()
            self.gather()
            self.search()
            self.match()
            self.look_back()
            for layer in (FIRST, SECOND):
                self.look_at_place(layer)
                self.pass_on(layer)

    def rooms(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Directions of the hidden states that have a use from the start, none of them for places: the last
        character's code (LINE, D), the line that was found (LINE, D), the pairs looked for (PAIR, D), and
        what all text has in common (1, D)."""
        generator = torch.Generator().manual_seed(11)
        random = torch.randn(2 * LINE + PAIR + 1, self.place.shape[1], generator=generator)
        rooms = torch.linalg.qr((random - random @ self.place.T @ self.place).T)[0].T
        last, line, pairs, text = rooms.split([LINE, LINE, PAIR, 1])
        return last, line, pairs, text

    def begin(self) -> Tensor:
        """The direction of the sequence's first token."""
        return F.normalize(self.decoder.embed_tokens.weight[self.decoder.config.bos_token_id], dim=0)

    def heads(self, layer: int, count: int) -> Iterator[tuple[int, Tensor, Tensor, Tensor, Tensor]]:
        """The first heads of a layer: number, rows of queries, of keys and of values, columns of outputs."""
        attention = self.decoder.layers[layer].self_attn
        for head in range(count):
            own = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
            rows = (getattr(attention, name).weight[own] for name in ("q_proj", "k_proj", "v_proj"))
            yield (head, *rows, attention.o_proj.weight[:, own])

    def clear_rooms(self) -> None:
        layers = self.decoder.layers[: MATCHED + 1]
        tables = [layer.self_attn.o_proj.weight.T for layer in layers]
        tables += [
            layers[0].mlp.down_proj.weight.T,
            self.decoder.embed_tokens.weight,
            self.spelling.read,
        ]
        for table in tables:
            for room in self.rooms():
                table -= table @ room.T @ room

    def write_rooms(self) -> None:
        """What a token's row says of its last character and of its pairs."""
        last, _, pairs, text = self.rooms()
        decoder = self.decoder
        decoder.embed_tokens.weight += 8.0 * text
        first = decoder.embed_tokens.weight[self.decoder.config.bos_token_id]
        first.copy_(4.0 * (first - 8.0 * text[0]))  # what layers add to it should not turn it
        number = {character: i for i, character in enumerate(ALPHABET)}
        for (kind, place, what), mark in self.spelling.known.items():
            if kind == "last" and place == 0 and what in number:
                self.spelling.read[mark] += (
                    16.0 * F.normalize(self.codes.character[number[what]], dim=0) @ last
                )
            elif kind == "pair" and what[1] in number and (what[0] in number or what[0] == " "):
                row = self.codes.pair[number.get(what[0], NONE), number[what[1]]]
                self.spelling.read[mark] += LOUD * self.codes.late[place] * row @ pairs

    def gather(self) -> None:
        """Heads that look so many tokens back, whatever those are, and bring their pairs."""
        _, _, pairs, text = self.rooms()
        theta = self.decoder.config.rope_theta
        for head, q, k, v, out in self.heads(GATHERED, len(self.codes.back) - 1):
            half = q.shape[0] // 2
            for number in range(10):  # the fastest turning pairs
                angle = (head + 1) * theta ** (-number / half)
                q[number], k[number] = 1.2 * text[0], 1.2 * math.cos(angle) * text[0]
                q[half + number], k[half + number] = 0.0, 1.2 * math.sin(angle) * text[0]
            for rows in (q, k):
                rows[10:half], rows[half + 10 :] = 0.0, 0.0
            v[:PAIR], out[:, :PAIR] = pairs, 1.25 * self.codes.back[head + 1] * pairs.T

    def search(self, keen: float = 3.0, sink: float = 1.1) -> None:
        """Heads that look for the pairs gathered, each in its stripe of the cells, and pass on the line there
        and the place of its cell."""
        _, line, pairs, text = self.rooms()
        begin, down = self.begin(), self.place.view(4, PLACES, -1)[3]
        bins = (torch.arange(PLACES) + 0.5) * CELL / PLACES
        for head, q, k, v, out in self.heads(MATCHED, ROWS):
            half, each = q.shape[0] // 2, PAIR // 2
            for rows in (q, k, v):
                rows.zero_()
            out.zero_()
            for part, end in enumerate((half, 2 * half)):
                own = slice(part * each, (part + 1) * each)
                q[end - each : end] = keen * pairs[own]
                k[end - each : end] = self.codes.pairs[head, own]
            q[half - each - 1], k[half - each - 1] = sink * text[0], begin
            q[half - each - 2], k[half - each - 2] = text[0], -4.0 * text[0]  # text is not looked at
            v[:LINE], out[:, :LINE] = self.codes.stripe[head], 2.0 * line.T
            first = LINE
            for said, cells, extra in zip(
                self.place.view(4, PLACES, -1)[:2],
                (self.codes.columns, self.codes.rows),
                (shares(bins, ROWS)[:, head] @ down, torch.zeros(())),
                strict=True,
            ):
                basis, there = self.spots_of(cells)
                own = slice(first, first + PLACE)
                v[own] = basis
                out[:, own] = (torch.linalg.pinv(there) @ (said + extra)).T
                first += PLACE
            v -= torch.outer(v @ begin, begin)

    def spots_of(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Where rows or columns of cells (side, D) say which they are, (PLACE, D), and what each says."""
        basis = torch.linalg.svd(cells, full_matrices=False)[2][:PLACE]
        return basis, F.normalize(cells @ basis.T, dim=1)

    def match(self) -> None:
        """Layer MATCHED begins by finding the last character in the line that it has just passed on.

        Its code is part of the embedding, and the gated unit of the shared expert multiplies it with the
        line's: silu(c) l - silu(-c) l = c l. Where they agree, the next token stands a little behind.
        """
        last, line, _, _ = self.rooms()
        across = self.place.view(4, PLACES, -1)[2]
        expert = self.decoder.layers[MATCHED].mlp.shared_experts
        expert.gate_proj.weight[: 2 * LINE] = torch.cat([last, -last])
        expert.up_proj.weight[: 2 * LINE] = torch.cat([line, -line])
        bins = torch.arange(PLACES)
        behind = (2 * (torch.arange(LINE) // PART) + 4) % PLACES  # about 12 pixels
        apart = (bins[None] - behind[:, None]).abs()
        near = torch.exp(-0.5 * (torch.minimum(apart, PLACES - apart) / 1.2) ** 2)
        expert.down_proj.weight[:, : 2 * LINE] = (0.7 * near @ across).repeat(2, 1).T

    def look_back(self) -> None:
        """Four heads of layer TRACKED begin by passing on what other tokens said: the next one's place is
        near theirs. The column and row of cells and the height are taken over, the rest goes elsewhere.
        """
        attention, width = self.decoder.layers[TRACKED].self_attn, self.place.shape[1]
        written = self.place.view(4, PLACES, -1).clone()
        written[2] = self.free_room(TRACKED)[:PLACES]
        for weight in (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight):
            nn.init.normal_(weight, std=width**-0.5)
        nn.init.normal_(attention.o_proj.weight, std=0.3 * width**-0.5)
        for (_, _, _, v, out), share in zip(self.heads(TRACKED, 4), (1.0, 0.5, 0.3, 0.5), strict=True):
            v[: 4 * PLACES], out[:, : 4 * PLACES] = self.place, share * written.flatten(0, 1).T

    def free_room(self, layer: int) -> Tensor:
        """Random directions for what a layer passes on, (STRIPE, D), none of them for places."""
        generator = torch.Generator().manual_seed(11 + layer)
        free = torch.randn(STRIPE, self.place.shape[1], generator=generator)
        return torch.linalg.qr((free - free @ self.place.T @ self.place).T)[0].T

    def look_at_place(self, layer: int) -> None:
        """Heads that find the cell of the place that was said, or the one to its right."""
        columns, rows, across, down = self.place.view(4, PLACES, -1)
        bins = (torch.arange(PLACES) + 0.5) * CELL / PLACES
        for head, q, k, _, _ in self.heads(layer, ROWS):
            half = q.shape[0] // 2
            slow = slice(half - PLACE, half), slice(2 * half - PLACE, 2 * half)  # they hardly turn
            q.zero_(), k.zero_()
            for part, said, cells in zip(
                slow, (columns, rows), (self.codes.columns, self.codes.rows), strict=True
            ):
                basis, there = self.spots_of(cells)
                if layer == SECOND and said is columns:
                    there = there.roll(-1, 0)
                q[part] = 1.6 * there.T @ said
                k[part] = 1.6 * basis
            q[half - PLACE - 1] = (1.14 - 0.49 * shares(bins, ROWS)[:, head]) @ down
            k[half - PLACE - 1] = 2.2 * self.begin()
        gate = self.decoder.layers[layer].mlp.gate.weight
        gate.copy_(1.2 * shares(bins, len(gate)).T @ across)

    def pass_on(self, layer: int) -> None:
        """Heads of this layer pass on stripes as the codes' own reader does."""
        begin, write = self.begin(), self.free_room(layer)
        for head, _, _, v, out in self.heads(layer, ROWS):
            passed = torch.cat([self.codes.stripe[head], self.codes.pairs[head]])
            v.copy_(passed - torch.outer(passed @ begin, begin))
            out.copy_(write.T)
