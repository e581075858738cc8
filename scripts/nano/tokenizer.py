"""Train nano's tokenizer: byte-level BPE with every added token of the released one.

    python scripts/nano/tokenizer.py --corpus ../shared/corpus \\
        --released ../shared/checkpoint/tokenizer.json --out src/foveate/assets/nano/tokenizer.json

It splits as the released tokenizer does, except that every digit stands alone. Ids: begin, end and padding
are 0, 1 and 2 as in the released one, then the 256 bytes and the merges, then the other added tokens.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from text import TextSource, mark_up
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PIECES = 4096  # begin, end, padding, 256 bytes and the merges; added tokens come on top
DIGIT = r"\p{N}"


def untrained(released: dict[str, Any]) -> Tokenizer:
    """A tokenizer without pieces that splits as the released one, digits excepted."""
    first, *others, last = released["pre_tokenizer"]["pretokenizers"]
    assert first["pattern"]["Regex"] == r"\p{N}{1,3}" and last["type"] == "ByteLevel", (
        "another released tokenizer?"
    )
    patterns = [DIGIT, *(split["pattern"]["Regex"] for split in others)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def training_text(source: TextSource, samples: int) -> Iterator[str]:
    """Books and modern sentences of the train split, and marked-up samples for headings, lists and code."""
    for number in range(len(source)):
        yield source.book(number)
    for _ in range(4):  # 3% of the characters: today's words should count for more
        yield source.sentences()
    for seed in range(samples):
        rng = np.random.default_rng((4096, seed))
        yield mark_up(rng, source.sample(rng, 2000, made_up=0.15), headings=0.5, lists=0.5)


def with_added_tokens(trained: dict[str, Any], released: dict[str, Any]) -> dict[str, Any]:
    """The trained tokenizer with the released one's added tokens and template, which puts begin first."""
    added = sorted(released["added_tokens"], key=lambda token: token["id"])
    moved = [
        token | {"id": token["id"] if token["id"] < 3 else PIECES + i - 3} for i, token in enumerate(added)
    ]
    return trained | {"added_tokens": moved, "post_processor": released["post_processor"]}


def train(source: TextSource, released: dict[str, Any], samples: int = 4000) -> Tokenizer:
    tokenizer = untrained(released)
    first = [token["content"] for token in released["added_tokens"] if token["id"] < 3]
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        special_tokens=first,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_text(source, samples), trainer)
    if tokenizer.get_vocab_size() != PIECES:
        raise ValueError(f"{tokenizer.get_vocab_size()} pieces instead of {PIECES}: train on a larger corpus")
    return Tokenizer.from_str(json.dumps(with_added_tokens(json.loads(tokenizer.to_str()), released)))


def characters_per_token(tokenizer: Tokenizer, source: TextSource) -> float:
    books = [source.book(number) for number in range(len(source))]
    encoded = tokenizer.encode_batch(books, add_special_tokens=False)
    return sum(map(len, books)) / sum(len(encoding.ids) for encoding in encoded)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train nano's tokenizer.")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--released", type=Path, default=Path("../shared/checkpoint/tokenizer.json"))
    parser.add_argument("--out", type=Path, default=Path("src/foveate/assets/nano/tokenizer.json"))
    parser.add_argument(
        "--cache", default=None, help="folder of the cleaned corpus (default: a temporary one)"
    )
    arguments = parser.parse_args()

    released = json.loads(arguments.released.read_text(encoding="utf-8"))
    tokenizer = train(TextSource(arguments.corpus, "train", arguments.cache), released)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = arguments.out.with_suffix(".tmp")
    unfinished.write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
    os.replace(unfinished, arguments.out)

    heldout = TextSource(arguments.corpus, "heldout", arguments.cache)
    theirs = characters_per_token(Tokenizer.from_file(str(arguments.released)), heldout)
    print(f"{arguments.out}: {tokenizer.get_vocab_size()} tokens")
    ours = characters_per_token(tokenizer, heldout)
    print(f"characters a token on held-out books: {ours:.2f}, released {theirs:.2f}")


if __name__ == "__main__":
    main()
