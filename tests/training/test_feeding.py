"""Samples to batches: packing, masks, modes, and going on from a few numbers."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foveate.data.packing import Pack, tokenize
from foveate.errors import OptionError, SourceNotFound
from foveate.model.ocr import OCR
from foveate.training.feeding import IGNORED, TEXT, Batch, Feeder, Item, Preparing, Stream, collate
from foveate.training.learner import hidden_states
from foveate.training.losses import next_token_loss
from foveate.training.plan import Shards, make_samples
from foveate.training.recipes import Batches, Data, Recipe
from tests import tiny
from tests.training import world
from tests.training.world import CONFIG, TOKENIZER

ROW = Batches(size=2, sequence=512, multiple=32)


def item(number: int, mode: str = "tiny") -> Item:
    preparing = Preparing(make_samples(Data(recipe="shapes")), TOKENIZER, Data(modes={mode: 1.0}))
    return preparing.prepare(number, world.sample(number))


def row(*numbers: int) -> Pack[Item]:
    pack: Pack[Item] = Pack()
    for number in numbers:
        made = item(number)
        pack.add(made, len(made.conversation))
    return pack


def feeder(folder: Path, **changes: object) -> Feeder:
    return Feeder(world.recipe(folder, **changes), TOKENIZER)


def same(one: Batch, other: Batch) -> bool:
    return (
        one.mode == other.mode
        and one.ids.equal(other.ids)
        and one.labels.equal(other.labels)
        and one.segments.equal(other.segments)
        and all(a.whole.equal(b.whole) for a, b in zip(one.pages, other.pages, strict=True))
    )


@pytest.fixture(scope="module")
def model() -> OCR:
    return tiny.network(CONFIG)


@pytest.mark.parametrize("window", [None, 3])
def test_packed_loss_is_the_sum_of_separate_losses(
    model: OCR, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No conversation sees another, and each counts its positions from 0; with a sliding window, too."""
    sliding = replace(CONFIG.decoder, sliding_window=window)
    monkeypatch.setattr(model, "config", replace(CONFIG, decoder=sliding))

    def loss(*rows: Pack[Item]) -> torch.Tensor:
        batch = collate(rows, ROW, TOKENIZER.eos).to(torch.device("cpu"))
        assert batch.targets == sum(sum(made.conversation.learned) for pack in rows for made in pack.items)
        return next_token_loss(hidden_states(model, batch), model.decoder.logits, batch.labels)

    apart = torch.stack([loss(row(number)) for number in (0, 3, 1, 2)])
    torch.testing.assert_close(loss(row(0, 3, 1), row(2)), apart.sum(), rtol=1e-5, atol=1e-3)


def test_without_the_mask_they_would_see_each_other(model: OCR) -> None:
    packed = collate([row(0, 1)], ROW, TOKENIZER.eos).to(torch.device("cpu"))
    blind = replace(packed, segments=packed.segments.clamp(max=1))  # as if it were one conversation
    difference = hidden_states(model, packed) - hidden_states(model, blind)
    first = len(item(0).conversation)
    assert float(difference[0, :first].abs().max()) < 1e-5
    assert float(difference[0, first : first + 50].abs().max()) > 1e-2


def test_labels_are_the_next_tokens_of_answers() -> None:
    batch = collate([row(0, 1)], ROW, TOKENIZER.eos)
    ids, labels = batch.ids[0], batch.labels[0]
    learned = (labels != IGNORED).nonzero().flatten()
    assert ids[learned + 1].equal(labels[learned])
    ends = torch.nonzero(batch.segments[0].diff()).flatten()
    assert all(labels[end] == IGNORED for end in ends) and all(ids[end] == TOKENIZER.eos for end in ends)
    for number in (0, 1):
        here = batch.segments[0] == number + 1
        text = TOKENIZER.decode(labels[here & (labels != IGNORED)].tolist())
        assert text == world.sample(number).answer + TOKENIZER.decode([TOKENIZER.eos])
        assert batch.positions[0][here].equal(torch.arange(int(here.sum())))
        conversation = tokenize(world.sample(number), TOKENIZER, "tiny")
        assert int(batch.prompts[0][here].sum()) == conversation.learned.index(True)


def test_causal_is_enough_for_single_conversations() -> None:
    assert collate([row(0), row(1)], ROW, 0).mask() is None
    assert collate([row(0), row(1)], ROW, 0).mask(window=4) is not None
    mask = collate([row(0, 1)], ROW, 0).mask()
    assert mask is not None and bool(mask.any(dim=-1).all()), "a softmax over nothing would be NaN"


def test_rows_are_of_one_mode_and_full(tmp_path: Path) -> None:
    stream = feeder(tmp_path, batches=Batches(size=4, sequence=256, micro=2, open_packs=3, multiple=32))
    modes, filled = Counter[str](), []
    for batch in (batch for _ in range(6) for batch in stream.step()):
        modes[batch.mode] += 1
        side = {"tiny": 512, "small": 640}[batch.mode]
        assert batch.ids.shape[0] == 2 and batch.ids.shape[1] <= 256
        assert all(page.whole.shape == (3, side, side) for page in batch.pages)
        assert int((batch.ids == TOKENIZER.image).sum()) == len(batch.pages) * (
            side // 64 * (side // 64 + 1) + 1
        )
        filled.append(float(batch.present.float().mean()))
    assert set(modes) == {"tiny", "small"} and sum(filled) / len(filled) > 0.8


def test_each_sample_once_in_an_epoch(tmp_path: Path) -> None:
    world.shards(tmp_path / "a", 150), world.shards(tmp_path / "b", 70)
    samples = Shards((tmp_path / "a", tmp_path / "b"), seed=3)
    assert samples.size == 220
    first = [samples.sample(position).number for position in range(220)]
    second = [samples.sample(position).number for position in range(220, 440)]
    wanted = sorted([*range(150), *range(70)])
    assert sorted(first) == sorted(second) == wanted and first != second and first != wanted


def test_going_on_from_a_state_gives_the_same_batches(tmp_path: Path) -> None:
    changes = {"batches": Batches(size=2, sequence=256, micro=2, open_packs=3, multiple=32)}
    one = feeder(tmp_path, **changes)
    one.step()
    state = json.loads(json.dumps(one.state()))
    assert state["0"]["open"], "the test needs rows that wait"
    other = feeder(tmp_path, **changes)
    other.restore(state)
    assert other.state() == state
    for _ in range(3):
        for ours, theirs in zip(one.step(), other.step(), strict=True):
            assert same(ours, theirs)
    assert one.state() == other.state() and one.taken == other.taken


def test_streams_share_the_positions(tmp_path: Path) -> None:
    """A step is the same whether one process reads both streams or two read one each."""
    recipe = world.recipe(tmp_path)
    recipe = replace(recipe, data=replace(recipe.data, streams=2))
    together, apart = Feeder(recipe, TOKENIZER), [Feeder(recipe, TOKENIZER, [stream]) for stream in (0, 1)]
    for _ in range(2):
        separate = [batch for part in apart for batch in part.step()]
        assert all(same(*pair) for pair in zip(together.step(), separate, strict=True))
    states = {**apart[0].state(), **apart[1].state()}
    assert states == together.state()
    alone = Feeder(world.recipe(tmp_path), TOKENIZER)
    alone.restore(states)  # another number of streams
    assert alone.state()["0"]["position"] == max(state["position"] for state in states.values())


def test_without_packing_each_row_is_one_conversation(tmp_path: Path) -> None:
    fed = feeder(tmp_path, batches=Batches(size=3, sequence=256, micro=3, packed=False, multiple=1))
    batch = fed.step()[0]
    assert int(batch.segments.max()) == 1 and batch.mask() is None


def test_text_alone_has_rows_of_its_own_in_auto(tmp_path: Path) -> None:
    recipe = world.recipe(tmp_path, data=Data(shards=(world.shards(tmp_path / "s"),), modes={"auto": 1.0}))
    recipe = replace(recipe, batches=replace(recipe.batches, packed=False))
    stream = Feeder(recipe, TOKENIZER)
    batches = [batch for _ in range(8) for batch in stream.step()]
    assert {batch.mode for batch in batches} == {"tiny", TEXT}
    assert all((batch.mode == TEXT) == (not batch.pages) for batch in batches)


def test_what_is_too_long_is_counted_and_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foveate.training.feeding.FRUITLESS", 12)
    samples = Shards((world.shards(tmp_path / "s", 8),))
    preparing = Preparing(samples, TOKENIZER, Data(modes={"small": 1.0}))
    stream = Stream(preparing, Batches(size=1, sequence=50, packed=False), 0)
    for _ in range(3):
        assert not next(stream).pages  # texts alone fit
    assert stream.skipped > 0
    with pytest.raises(OptionError, match="12 samples in a row are longer than batches.sequence"):
        next(Stream(preparing, Batches(size=1, sequence=5, packed=False), 0))


def test_no_data_is_a_clear_mistake(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there is nothing to learn from"):
        make_samples(Data())
    with pytest.raises(OptionError, match="--text FILE"):
        make_samples(Data(recipe="rendered"))
    with pytest.raises(SourceNotFound):
        make_samples(Data(shards=(tmp_path,)))


def test_a_data_recipe_is_made_as_the_run_goes() -> None:
    recipe = Recipe("a", "b", data=Data(recipe="shapes", modes={"tiny": 1.0}), batches=Batches(size=1))
    feeder = Feeder(recipe, TOKENIZER)
    assert feeder.epoch_size is None
    assert feeder.step()[0].mode == "tiny"


@pytest.mark.slow
def test_workers_give_the_same_batches(tmp_path: Path) -> None:
    recipe = world.recipe(tmp_path)
    apart = replace(recipe, data=replace(recipe.data, workers=2))
    ours, theirs = Feeder(recipe, TOKENIZER), Feeder(apart, TOKENIZER)
    for _ in range(3):
        assert all(same(*pair) for pair in zip(ours.step(), theirs.step(), strict=True))
    assert ours.state() == theirs.state()
