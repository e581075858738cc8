"""What a vision token should say: codes of the characters in its cell, added up.

The decoder learns to read from such sums before there is an encoder that can see, and the encoder learns to
write them. Which characters stand where is known, because the pages are drawn.

N characters · M code width before projection · D the decoder's width
"""

import torch
import torch.nn.functional as F
from batches import NONE, PATCH, STARTS
from spelling import LATE
from text import ALPHABET
from torch import Tensor, nn

from foveate.pages.mode import CELL

ACROSS, ROWS = 16, 5  # places in a cell; between two of them a code is between theirs
COLUMNS, PART = 8, 6  # a line of the cell is coded by so many parts of so many numbers
LINE = COLUMNS * PART
PAIR = 32  # numbers that say which characters stand side by side, wherever: by them a line is found
STRIPE = LINE + PAIR  # what a head of the decoder looks at
SCALE = 10.0  # of the tokens: what layers add to them should not hide what they say
SPLIT = CELL // PATCH  # patches along a cell
PLACE = 16  # numbers that a row or a column of cells is told by: as many as a page of Base has


class Codes(nn.Module):
    """code = W (character and start, times place across; its pair with the one before; all times place
    down), and where its cell is.

    Read as the decoder will read it: ROWS heads pass on one stripe of the cell each, as much as the place is
    near to it, and what stands at a place of the stripe is picked out by a gate. It starts where it can be
    read, and is trained to be read better.
    """

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        part = torch.arange(LINE) // PART
        places = (torch.arange(ACROSS) + 0.5) / ACROSS * COLUMNS - 0.5
        across = (1 - (part[None] - places[:, None]).abs()).clamp(min=0)
        character, start = torch.randn(len(ALPHABET), LINE), 0.5 * torch.randn(STARTS, LINE)
        self.character, self.start = nn.Parameter(character), nn.Parameter(start)
        self.across = nn.Parameter(across + 0.02 * torch.randn(ACROSS, LINE))
        signs = torch.randn(2, NONE + 1, PAIR).sign()
        self.pair = nn.Parameter(0.7 * signs[0][:, None] * signs[1][None, :NONE])  # (before, character, PAIR)
        self.down = nn.Parameter(
            torch.eye(ROWS)[:, :, None].repeat(1, 1, STRIPE) + 0.05 * torch.randn(ROWS, ROWS, STRIPE)
        )
        inner = ROWS * STRIPE
        basis = torch.linalg.qr(torch.randn(max(inner, width), max(inner, width)))[0][:inner, :width]
        self.project = nn.Parameter(basis)  # (inner, D)
        spread = torch.linalg.qr(torch.randn(width, 2 * PLACE))[0].T
        spots = torch.linalg.qr(torch.randn(2, PLACE, PLACE))[0][:, :side] * 0.35 * width**0.5
        self.rows = nn.Parameter(spots[0] @ spread[:PLACE])  # (side, D)
        self.columns = nn.Parameter(spots[1] @ spread[PLACE:])
        stripes = basis.view(ROWS, STRIPE, width)
        self.stripe = nn.Parameter(stripes[:, :LINE].clone())  # what reads one of them
        self.pairs = nn.Parameter(stripes[:, LINE:].clone())
        self.gate = nn.Parameter(across.repeat(1, 4) + 0.05 * torch.randn(ACROSS, 4 * LINE))
        self.widen = nn.Parameter(
            torch.eye(LINE).repeat(4, 1) + 0.05 * torch.randn(4 * LINE, LINE)
        )  # (M, LINE)
        self.what = nn.Linear(4 * LINE, len(ALPHABET) + STARTS)
        self.keen = nn.Parameter(torch.tensor(1.0))  # of the search
        self.late = nn.Parameter(0.8 ** torch.arange(LATE + 1.0))  # what pairs count, by how long ago they
        self.back = nn.Parameter(0.5 ** torch.arange(4.0))  # stood in a token, and how many tokens ago
        with torch.no_grad():
            self.what.weight.copy_(torch.cat([character, start]).repeat(1, 4) * 0.17)

    def forward(self, letters: Tensor, pages: int, side: int) -> Tensor:
        """Letters (N, 7) of so many pages of side x side cells to their tokens (pages, side, side, D)."""
        code = self.write(letters)
        sums = code.new_zeros(pages * side * side, code.shape[1])
        sums = sums.index_add(0, letters[:, 0] * side * side + letters[:, 1], code)
        return self.tokens(sums.view(pages, side, side, -1))

    def write(self, letters: Tensor) -> Tensor:
        """What each of the letters (N, 7) adds to its cell, (N, ROWS * STRIPE)."""
        code = self.character[letters[:, 4]] + self.start[letters[:, 5]]
        code = torch.cat(
            [code * between(self.across, letters[:, 2]), self.pair[letters[:, 6], letters[:, 4]]], 1
        )
        first, share = beside(letters[:, 3], ROWS, CELL)
        down = torch.lerp(self.down[first], self.down[(first + 1).clamp(max=ROWS - 1)], share[..., None])
        return (code[:, None] * down).flatten(1)

    def tokens(self, sums: Tensor) -> Tensor:
        """Sums of codes (pages, side, side, ROWS * STRIPE) to tokens (pages, side, side, D)."""
        side = sums.shape[1]
        return SCALE * (sums @ self.project + self.rows[:side, None] + self.columns[None, :side])

    def search(self, tokens: Tensor, queries: Tensor, wanted: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of finding a cell and stripe by the pairs that it holds, and the share of cells found.

        Tokens (B, H, W, D); queries (B, T, PAIR); wanted (B, T) cell or -1; near (B, T, ROWS) how near each
        stripe is.
        """
        held = torch.einsum("bcd,rpd->bcrp", tokens.flatten(1, 2).float() / SCALE, self.pairs)
        known = wanted >= 0
        scores = torch.einsum("btp,bcrp->btcr", queries, held)[known] * self.keen
        likely = scores.flatten(1).log_softmax(-1).view_as(scores)
        there = likely.gather(1, wanted[known][:, None, None].expand(-1, 1, ROWS))[:, 0]
        found = scores.amax(2).argmax(1) == wanted[known]
        return -(near[known] * there).sum(1).mean(), found.float().mean()

    def name(self, tokens: Tensor, letters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of telling each letter's character and start from its token, and the shares told right.

        Tokens (pages, H, W, D). Rare characters count for more: else digits are given up for small letters.
        """
        what, start = self.read(tokens, letters)
        loss = weighted(F.cross_entropy(what, letters[:, 4], reduction="none"), rarity(letters[:, 4]))
        loss = loss + F.cross_entropy(start, letters[:, 5])
        right = [
            (score.argmax(-1) == letters[:, column]).float().mean()
            for score, column in ((what, 4), (start, 5))
        ]
        return loss, right[0], right[1]

    def read(self, tokens: Tensor, letters: Tensor) -> tuple[Tensor, Tensor]:
        """What tokens (pages, H, W, D) say at the places of the letters (N, 7): scores of the characters
        (N, ALPHABET) and of what they start (N, STARTS)."""
        tokens = tokens.flatten(1, 2).float() / SCALE
        stripes = torch.einsum("bcd,rhd->bcrh", tokens, self.stripe).float()
        first, share = beside(letters[:, 3], ROWS, CELL)
        page, cell = letters[:, 0], letters[:, 1]
        line = torch.lerp(
            stripes[page, cell, first], stripes[page, cell, (first + 1).clamp(max=ROWS - 1)], share
        )
        scores = self.what(F.linear(line, self.widen) * between(self.gate, letters[:, 2]))
        what, start = scores.split([len(ALPHABET), STARTS], dim=1)
        return what, start


class Glance(nn.Module):
    """Names the character at a given place of a patch from the patch's feature.

    Asking for a patch's first, second, third character would make the answer jump when a character crosses
    a border; asking for the one at a place does not.
    """

    def __init__(self, width: int, inner: int = 384) -> None:
        super().__init__()
        self.project = nn.Linear(width, inner)
        self.across = nn.Parameter(1 + 0.5 * torch.randn(4, inner))
        self.down = nn.Parameter(1 + 0.5 * torch.randn(4, inner))
        self.character = nn.Linear(inner, len(ALPHABET))

    def forward(self, features: Tensor, letters: Tensor) -> tuple[Tensor, Tensor]:
        """Features (pages, rows, columns, C) and letters (N, 7): the loss, and the share named right."""
        columns = features.shape[2] * PATCH // CELL
        x = letters[:, 1] % columns * CELL + letters[:, 2]
        y = letters[:, 1] // columns * CELL + letters[:, 3]
        seen = self.project(features[letters[:, 0], y // PATCH, x // PATCH])
        seen = seen * between(self.across, x % PATCH, PATCH) * between(self.down, y % PATCH, PATCH)
        scores = self.character(seen).float()
        right = (scores.argmax(-1) == letters[:, 4]).float().mean()
        loss = F.cross_entropy(scores, letters[:, 4], reduction="none")
        return weighted(loss, rarity(letters[:, 4])), right


class Addends(nn.Module):
    """Each patch says what it adds to its cell's sum of codes, from its feature, linearly.

    The compressor can do no more than add up linearly what SAM's features say. Those that only tell their
    characters when asked for a place (`Glance`) do not add up: a linear map finds 11 % of the variance.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(SPLIT * SPLIT, width, ROWS * STRIPE))

    def forward(self, features: Tensor, letters: Tensor, codes: Codes) -> tuple[Tensor, Tensor]:
        """Features (pages, H * 4, W * 4, C) and letters (N, 7): the mean square of what is wrong, in
        variances of what should be said, and the sums said, (pages, H, W, ROWS * STRIPE)."""
        pages, rows, columns, width = features.shape
        rows, columns = rows // SPLIT, columns // SPLIT
        parts = features.view(pages, rows, SPLIT, columns, SPLIT, width).permute(2, 4, 0, 1, 3, 5)
        said = torch.bmm(parts.reshape(SPLIT * SPLIT, -1, width), self.weight).float()
        with torch.no_grad():
            place = letters[:, 3] // PATCH * SPLIT + letters[:, 2] // PATCH
            number = (place * pages + letters[:, 0]) * rows * columns + letters[:, 1]
            wanted = torch.zeros_like(said).flatten(0, 1).index_add(0, number, codes.write(letters))
            counts = rarest(letters[:, 4], number, len(wanted))
        wrong = lacking(said.flatten(0, 1), wanted, counts)
        return wrong, said.sum(0).view(pages, rows, columns, -1)


def rarity(what: Tensor) -> Tensor:
    """What each of the characters (N,) counts: less by the root of how often it stands there."""
    return torch.bincount(what, minlength=len(ALPHABET)).float().rsqrt()[what]


def rarest(what: Tensor, place: Tensor, places: int) -> Tensor:
    """What each of so many places counts: as the rarest of the characters (N,) that stand there, where the
    mean of these is 1; half where little or nothing stands."""
    counts = rarity(what)
    least = counts.new_full((places,), 0.5)
    return least.scatter_reduce(0, place, counts / counts.mean(), "amax")


def weighted(values: Tensor, weights: Tensor) -> Tensor:
    """The mean of values (N,), each as much as it counts."""
    return (values * weights).sum() / weights.sum()


def lacking(said: Tensor, wanted: Tensor, counts: Tensor) -> Tensor:
    """Mean square of what rows (N, C) lack, in variances of what is wanted; each row as much as it counts."""
    wrong, all_of_it = ((x - wanted).square().mean(1) for x in (said, wanted.mean(0)))
    return weighted(wrong, counts) / weighted(all_of_it, counts)


def beside(pixels: Tensor, places: int, side: int) -> tuple[Tensor, Tensor]:
    """The place before pixels (N,) of a square, and how far it is to the next one, (N, 1)."""
    place = (pixels.float() * places / side - 0.5).clamp(0, places - 1)
    return place.long(), (place - place.long())[:, None]


def shares(pixels: Tensor, places: int) -> Tensor:
    """How near pixels (N,) of a cell are to each of its places, (N, places): two of them share each."""
    first, share = beside(pixels, places, CELL)
    after = F.one_hot((first + 1).clamp(max=places - 1), places).float()
    return torch.lerp(F.one_hot(first, places).float(), after, share)


def between(table: Tensor, pixels: Tensor, side: int = CELL) -> Tensor:
    """Rows of a table (P, M) of places for pixels (N,) of a square, linear between two places: (N, M)."""
    first, share = beside(pixels, len(table), side)
    return torch.lerp(table[first], table[(first + 1).clamp(max=len(table) - 1)], share)


def blur(
    letters: Tensor, generator: torch.Generator, wrong: float = 0.03, lost: float = 0.005, moved: float = 2.0
) -> Tensor:
    """The letters as an encoder might see them: some of another shape, some not at all, some beside their
    place."""
    letters = letters[torch.rand(len(letters), generator=generator, device=generator.device) >= lost].clone()
    count = len(letters)
    mistaken = torch.rand(count, generator=generator, device=generator.device) < wrong
    other = torch.randint(len(ALPHABET), (count,), generator=generator, device=generator.device)
    letters[:, 4] = torch.where(mistaken, other, letters[:, 4])
    shift = torch.randn(count, 2, generator=generator, device=generator.device) * moved
    letters[:, 2:4] = (letters[:, 2:4] + shift.round().long()).clamp(0, CELL - 1)
    return letters
