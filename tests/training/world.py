"""A run so small that a step takes a moment: coloured pictures, a tiny network, nano's tokenizer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.data.mixture import key
from foveate.data.recipes import nano
from foveate.data.sample import Sample, Turn, ask
from foveate.data.shards import Outcome, write_shard
from foveate.model import weights
from foveate.pages.tokenizer import TOKENIZER_NAME, Tokenizer
from foveate.training.recipes import Batches, Checkpoints, Data, Metrics, Optimiser, Recipe, Schedule, Start
from tests import tiny

TOKENIZER = Tokenizer.load(nano())
CONFIG = replace(
    tiny.with_decoder(
        vocab_size=-(-len(TOKENIZER) // 16) * 16, bos_token_id=TOKENIZER.bos, eos_token_id=TOKENIZER.eos
    ),
    image_token_id=TOKENIZER.image,
)
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "seven", "grey", "cats", "in", "warm", "sun"]


def sample(number: int, words: int | None = None) -> Sample:
    """A picture and some words; every fourth has no picture."""
    count = words or 4 + key("length", number) % 12
    text = " ".join(WORDS[key("word", number, n) % len(WORDS)] for n in range(count))
    if number % 4 == 3:
        return Sample("text", "text", (Turn("user", ""), Turn("assistant", text)), number=number)
    image = tiny.picture(48, 64, seed=number)
    return Sample("rendered", "ocr1", ask("text", text), image=image, number=number)


def shards(folder: Path, count: int = 24) -> Path:
    """A folder with one shard of such samples."""
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = (Outcome(number, sample(number)) for number in range(count))
    write_shard(folder, "samples-000000-of-000001.parquet", range(count), outcomes)
    return folder


def checkpoint(folder: Path) -> Path:
    """The tiny network in a folder, as a start point and for readers."""
    folder.mkdir(parents=True, exist_ok=True)
    weights.save(tiny.network(CONFIG), folder)
    (folder / TOKENIZER_NAME).write_bytes((nano() / TOKENIZER_NAME).read_bytes())
    return folder


def recipe(folder: Path, **changes: Any) -> Recipe:
    """A run of six steps over the folder's shards, from the folder's network; both are made when missing."""
    data, start = folder / "shards", folder / "start"
    if not data.exists():
        shards(data)
    if not start.exists():
        checkpoint(start)
    plain = Recipe(
        "test",
        "a run in a test",
        start=Start(checkpoint=str(start)),
        data=Data(shards=(data,), modes={"tiny": 2.0, "small": 1.0}),
        batches=Batches(size=2, sequence=192, micro=1, open_packs=2, multiple=32),
        steps=6,
        optimiser=Optimiser(rate=1e-3),
        schedule=Schedule("cosine", warmup=2),
        precision="float32",
        checkpoints=Checkpoints(every=2, last=2),
        metrics=Metrics(every=1),
    )
    return replace(plain, **changes)
