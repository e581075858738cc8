"""Embeddings that know how their tokens are spelt, while training goes on.

A token's row is what it has for itself plus a sum over its spelling: a vector for each character at its place
from the start, for each of the last ones, for each pair of neighbours, and for where it ends. What is learnt
of one token, to find it on the page or to write it, serves all others that have these characters. At the end
the sums are written into the rows.

V tokens · K marks of a spelling · D the decoder's width
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.pages.tokenizer import Tokenizer

FIRST, LAST = 10, 3  # characters that have a place of their own
LATE = 5  # pairs that far from a token's end, and farther, are as one


def marks_of(text: str) -> list[tuple[str, int, str]]:
    marks = [("at", i, c) for i, c in enumerate(text[:FIRST])]
    marks += [("folded", i, c.lower()) for i, c in enumerate(text[:FIRST])]
    marks += [("last", i, c) for i, c in enumerate(text[::-1][:LAST])]
    return [
        *marks,
        ("length", len(text), ""),
        *(("pair", min(i, LATE), pair) for i, pair in enumerate(pairs_of(text)[::-1])),
    ]


def pairs_of(text: str) -> list[str]:
    """A token's characters with the one before each; a space stands before what starts a word."""
    marked = text[1:] if text.startswith("\n") else text
    return [a + b for a, b in pairwise(marked) if a not in "\n" and b not in " \n"]


class Spelling(nn.Module):
    """Two tables of rows, for reading and for writing, in terms of the tokens' spellings."""

    def __init__(self, tokenizer: Tokenizer, rows: int, width: int) -> None:
        super().__init__()
        known: dict[tuple[str, int, str], int] = {}
        spelt = [
            [known.setdefault(mark, len(known)) for mark in marks_of(tokenizer.decode([token]))]
            for token in range(len(tokenizer))
        ]
        spelt += [[] for _ in range(rows - len(spelt))]
        longest = max(map(len, spelt))
        table = torch.tensor([row + [len(known)] * (longest - len(row)) for row in spelt])
        self.register_buffer("marks", table, persistent=False)  # (V, K)
        self.known, self.nothing = known, len(known)
        self.read = nn.Parameter(torch.zeros(len(known) + 1, width))
        self.write = nn.Parameter(torch.zeros(len(known) + 1, width))

    def rows(self, vectors: Tensor) -> Tensor:
        """(marks, D) to (V, D)."""
        return F.embedding_bag(self.marks, vectors, mode="sum", padding_idx=self.nothing)
