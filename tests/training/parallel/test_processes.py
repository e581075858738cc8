"""Four processes learn as one does: losses, balance, norms and experts' loads, step by step, to 1e-4."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foveate.config import OCRConfig
from foveate.engine.reader import Reader
from foveate.errors import CheckpointError
from foveate.model import weights
from foveate.model.ocr import OCR
from foveate.model.source import ASSETS
from foveate.pages.tokenizer import TOKENIZER_NAME
from foveate.training.learner import Single
from foveate.training.parallel import saving
from foveate.training.recipes import Parallel
from foveate.training.start import random_network
from tests.tiny import picture, with_decoder
from tests.training.parallel.spread import TINY, Case, alone, compare, together

FOUR, TWO_BY_TWO = Parallel(pipeline=4), Parallel(pipeline=2, data=2)
FROZEN = ("sam", "compressor")


def test_pipelines_learn_as_one_process_and_read_each_others_checkpoints(tmp_path: Path) -> None:
    """Four stages learn and save; two pipelines of two go on from there, and so does one process."""
    saved, later, exported = (str(tmp_path / name) for name in ("saved", "later", "exported"))
    first = Case(FOUR, steps=2, save=saved, export=exported)
    second = Case(TWO_BY_TWO, first=2, steps=2, load=saved, save=later)
    found = together([first, second], tmp_path)
    single, wanted = alone(Case(steps=4))
    compare(found[0], wanted[:2], first)
    compare(found[1], wanted[2:], second)
    _, resumed = alone(Case(first=2, steps=2, load=saved))
    compare(resumed, wanted[2:], "one process")
    whole = saving.whole(Path(later), TINY)
    assert_close(whole, single.model, 1e-4)
    # Both are readable under the released names, rounded to bf16.
    assert_close(weights.load(Path(later), dtype=torch.float32), single.model, 1e-2)
    at_two, _ = alone(Case(steps=2))
    assert_close(weights.load(Path(exported), dtype=torch.float32), at_two.model, 1e-2)


def assert_close(ours: OCR, theirs: OCR, margin: float) -> None:
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter, theirs.get_parameter(name), rtol=margin, atol=margin, msg=name)


def test_a_sharded_checkpoint_becomes_one_for_readers(tmp_path: Path) -> None:
    """In one process: what `save` wrote, taken whole, written by the released names and read by `Reader`."""
    nano = OCRConfig.load(ASSETS / "nano")
    decoder = with_decoder(vocab_size=nano.decoder.vocab_size, eos_token_id=nano.decoder.eos_token_id).decoder
    config = replace(TINY, decoder=decoder, image_token_id=nano.image_token_id)
    model = random_network(config, 3)
    saving.save(model, None, tmp_path / "run")
    assert saving.is_sharded(tmp_path / "run") and not saving.is_sharded(tmp_path)
    weights.save(saving.whole(tmp_path / "run", config), tmp_path / "model")
    shutil.copy(ASSETS / "nano" / TOKENIZER_NAME, tmp_path / "model")
    reader = Reader.load(str(tmp_path / "model"), device="cpu")
    for name, parameter in model.named_parameters():
        assert torch.equal(reader.model.get_parameter(name), parameter)
    (page,) = reader.read(picture(64, 64), mode="tiny", max_tokens=2, retries=0).pages
    assert page.error is None


def test_one_process_goes_on_from_shards(tmp_path: Path) -> None:
    first, _ = alone(Case(steps=1))
    saving.save(first.model, first.optimiser, tmp_path)
    _, wanted = alone(Case(steps=2))
    _, ours = alone(Case(first=1, steps=1, load=str(tmp_path)))
    compare(ours, wanted[1:], "one process, from shards")


def test_a_checkpoint_of_another_network(tmp_path: Path) -> None:
    saving.save(random_network(TINY), None, tmp_path)
    with pytest.raises(CheckpointError, match="does not hold this network"):
        saving.whole(tmp_path, with_decoder(num_hidden_layers=5))
    other = Single(replace(Case().recipe(), network=TINY), random_network(TINY))
    with pytest.raises(CheckpointError, match="have the network or frozen changed"):
        saving.load(other.model, other.optimiser, tmp_path)  # there is no optimiser's state


LAYOUTS = {
    "pipeline 4": Case(FOUR, steps=20),
    "pipeline 2 x data 2": Case(TWO_BY_TWO, steps=20),
    "pipeline 4, SAM frozen": Case(FOUR, steps=20, frozen=FROZEN),
    "pipeline 2 x data 2, FSDP, two batches at a time": Case(
        replace(TWO_BY_TWO, sharded=True, microbatches=2), steps=5, each=2
    ),
    "pipeline 2 x data 2, FSDP": Case(replace(TWO_BY_TWO, sharded=True), steps=20),
    "pipeline 2 x data 2, experts shared": Case(replace(TWO_BY_TWO, experts=2), steps=20),
    "experts shared by two and two, FSDP, recomputed": Case(
        Parallel(data=4, experts=2, sharded=True), steps=20, recompute=True
    ),
    "pipeline 4, text alone": Case(FOUR, steps=5, pages=False),
}


@pytest.mark.slow
def test_every_layout_for_twenty_steps(tmp_path: Path) -> None:
    found = together(list(LAYOUTS.values()), tmp_path)
    known: dict[str, list[dict[str, float]]] = {}
    for (name, case), ours in zip(LAYOUTS.items(), found, strict=True):
        key = f"{case.frozen} {case.steps} {case.pages} {case.each}"
        if key not in known:
            known[key] = alone(case)[1]
        compare(ours, known[key], name)
        if case.pages:
            assert max(step["norm"] for step in ours) > case.recipe().optimiser.clip  # clipping takes part


@pytest.mark.slow
def test_every_layout_reads_every_checkpoint(tmp_path: Path) -> None:
    """Written by one process, read by four stages; theirs by shards and experts; theirs by one process."""
    start, middle, end = (str(tmp_path / name) for name in ("start", "middle", "end"))
    _, wanted = alone(Case(steps=6))
    alone(Case(steps=2, save=start))
    cases = [
        Case(FOUR, first=2, steps=2, load=start, save=middle),
        Case(replace(TWO_BY_TWO, sharded=True, experts=2), first=4, steps=2, load=middle, save=end),
    ]
    found = together(cases, tmp_path)
    compare(found[0], wanted[2:4], cases[0])
    compare(found[1], wanted[4:], cases[1])
    _, again = alone(Case(first=4, steps=2, load=middle))
    compare(again, wanted[4:], "one process")
    single, _ = alone(Case(steps=6))
    assert_close(saving.whole(Path(end), TINY), single.model, 1e-4)
