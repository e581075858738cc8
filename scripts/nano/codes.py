"""What a vision token should say: codes of the characters in its cell, added up.

The decoder learns to read from such sums before there is an encoder that can see, and the encoder learns to
write them. Which characters stand where is known, because the pages are drawn.

N characters · M code width before projection · D the decoder's width
"""

import torch
import torch.nn.functional as F
from batches import PATCH, STARTS
from text import ALPHABET
from torch import Tensor, nn

from foveate.pages.mode import CELL

ACROSS = DOWN = 8  # places in a cell, every 8 pixels; between two of them a code is between theirs


class Codes(nn.Module):
    """code = W (character and start, times place across, times place down)."""

    def __init__(self, width: int, inner: int = 512) -> None:
        super().__init__()
        self.character = nn.Parameter(torch.randn(len(ALPHABET), inner))
        self.start = nn.Parameter(0.7 * torch.randn(STARTS, inner))
        # Each place across begins with an eighth of the numbers, and a little of its neighbours'.
        block = torch.arange(inner) * ACROSS // inner
        apart = (block[None] - torch.arange(ACROSS)[:, None]).abs().float()
        self.across = nn.Parameter(torch.exp(-2.0 * apart))
        # Signs, so that lines of one cell have nothing in common.
        self.down = nn.Parameter(torch.randn(DOWN, inner).sign())
        self.project = nn.Linear(inner, width, bias=False)
        self.sharpness = nn.Parameter(torch.zeros(()))
        nn.init.normal_(self.project.weight, std=(inner / ACROSS) ** -0.5 / 2)

    def place(self, letters: Tensor) -> Tensor:
        """(N, 6) to (N, M)."""
        return between(self.across, letters[:, 2]) * between(self.down, letters[:, 3])

    def forward(self, letters: Tensor, pages: int, cells: int) -> Tensor:
        """Letters (N, 6) of so many pages to their tokens (pages, cells, D)."""
        code = (self.character[letters[:, 4]] + self.start[letters[:, 5]]) * self.place(letters)
        sums = code.new_zeros(pages * cells, code.shape[1])
        sums = sums.index_add(0, letters[:, 0] * cells + letters[:, 1], code)
        return self.project(sums).view(pages, cells, -1)

    def name(self, tokens: Tensor, letters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of telling each letter's character and start from its token, and the shares told right.

        A letter's code is compared with those of all other characters at its place. Tokens (pages, cells, D).
        """
        token = tokens[letters[:, 0], letters[:, 1]].float()
        seen = F.linear(token, self.project.weight.T) * self.place(letters)
        seen = seen * 0.1 * (10 * self.sharpness).exp() / self.project.weight.square().sum(0).mean()
        what, start = F.linear(seen, self.character), F.linear(seen, self.start)
        loss = F.cross_entropy(what, letters[:, 4]) + F.cross_entropy(start, letters[:, 5])
        right = [
            (score.argmax(-1) == letters[:, column]).float().mean()
            for score, column in ((what, 4), (start, 5))
        ]
        return loss, right[0], right[1]


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
        """Features (pages, rows, columns, C) and letters (N, 6): the loss, and the share named right."""
        columns = features.shape[2] * PATCH // CELL
        x = letters[:, 1] % columns * CELL + letters[:, 2]
        y = letters[:, 1] // columns * CELL + letters[:, 3]
        seen = self.project(features[letters[:, 0], y // PATCH, x // PATCH])
        seen = seen * between(self.across, x % PATCH, PATCH) * between(self.down, y % PATCH, PATCH)
        scores = self.character(seen).float()
        right = (scores.argmax(-1) == letters[:, 4]).float().mean()
        return F.cross_entropy(scores, letters[:, 4]), right


def between(table: Tensor, pixels: Tensor, side: int = CELL) -> Tensor:
    """Rows of a table (P, M) of places for pixels (N,) of a square, linear between two places: (N, M)."""
    place = (pixels.float() * len(table) / side - 0.5).clamp(0, len(table) - 1)
    first = place.long()
    share = (place - first)[:, None]
    return table[first] * (1 - share) + table[(first + 1).clamp(max=len(table) - 1)] * share


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
