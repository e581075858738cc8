"""A network cut into stages computes what it computed whole, and the cut falls where it should."""

from dataclasses import replace

import pytest
import torch

from foveate.errors import OptionError
from foveate.training.feeding import IGNORED
from foveate.training.learner import Single
from foveate.training.parallel.layout import Place, join
from foveate.training.parallel.learner import check_schedule, parameters_of
from foveate.training.parallel.stages import Share, Stage, Terms, pad_batch, shares
from foveate.training.recipes import Batches, Parallel
from foveate.training.start import random_network
from tests.training.parallel.spread import STREAMS, TINY, Case, batch


def test_the_paper_cuts_into_four() -> None:
    sam, clip, first, second = shares(12, 4)
    assert sam == Share(sam=True) and clip == Share(clip=True)
    assert first == Share(embeds=True, layers=range(6))
    assert second == Share(layers=range(6, 12), last=True)
    encoder, decoder = shares(12, 2)
    assert encoder == Share(sam=True, clip=True)
    assert decoder == Share(embeds=True, layers=range(12), last=True)
    assert [len(part.layers) for part in shares(5, 5)] == [0, 0, 2, 2, 1]
    with pytest.raises(OptionError, match="7 at most"):
        shares(5, 8)


@pytest.mark.parametrize("stages", [1, 2, 3, 4, 6])
def test_every_parameter_is_in_one_stage(stages: int) -> None:
    model = random_network(TINY)
    names = [name for name, _ in model.named_parameters()]
    parts = shares(TINY.decoder.num_hidden_layers, stages)
    owned = [len(parameters_of(model, part)) for part in parts]
    cut = [[name for name, _ in Stage(random_network(TINY), part).named_parameters()] for part in parts]
    assert sorted(name for part in cut for name in part) == sorted(names)
    assert owned == [len(part) for part in cut]


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_stages_one_after_the_other_learn_as_the_whole(stages: int) -> None:
    case = Case()
    single = Single(case.recipe(), random_network(TINY))
    batches = [batch(0, stream) for stream in range(STREAMS)]
    learned = single.learn(batches, 0)
    wanted = {name: p.grad for name, p in single.model.named_parameters() if p.grad is not None}

    parts = [Stage(random_network(TINY), part, "float32") for part in shares(4, stages)]
    targets, rows = sum(one.targets for one in batches), sum(len(one.ids) for one in batches)
    length = max(one.ids.shape[1] for one in batches)
    padded = [pad_batch(one, length, 1) for one in batches]
    for part in parts:
        part.begin(padded, Terms(targets, rows, 0.05), torch.device("cpu"))
    for number in range(len(batches)):
        x: tuple[torch.Tensor, ...] = ()
        for part in parts:
            x = (part(*x, number=torch.tensor(number)),)
            assert x[0].shape == (() if part.share.last else (2, length, part.width()))
        x[0].backward()
    assert float(parts[-1].text) / targets == pytest.approx(learned.loss, abs=1e-5)
    for part in parts:
        for name, parameter in part.named_parameters():
            if name in wanted:
                assert parameter.grad is not None, name
                torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-4, atol=1e-6)


def test_batches_differ_as_they_should() -> None:
    """The test above is only worth something if its batches have other numbers of tokens and pages."""
    batches = [batch(0, stream) for stream in range(STREAMS)]
    assert len({one.targets for one in batches}) > 2
    assert len({one.ids.shape[1] for one in batches}) == 3
    assert {len(one.pages) for one in batches} == {0, 2}
    assert any(page.tiles is not None for one in batches for page in one.pages)
    assert any(int(one.segments.max()) == 2 for one in batches)


def test_padding_is_not_learned() -> None:
    one = batch(0, 0)
    longer = pad_batch(one, 64, 7)
    assert longer.ids.shape == (2, 64) and longer.targets == one.targets
    assert bool((longer.ids[:, 24:] == 7).all()) and bool((longer.labels[:, 24:] == IGNORED).all())
    assert not bool(longer.present[:, 24:].any())


def test_neighbours_in_rank_are_one_pipeline() -> None:
    paper = Parallel(pipeline=4, data=40)
    assert Place.of(0, paper) == Place(0, 0)
    assert [Place.of(rank, paper).stage for rank in range(8)] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert Place.of(159, paper) == Place(3, 39)
    streams = [Place(0, data).streams(80, paper) for data in range(40)]
    assert [number for part in streams for number in part] == list(range(80))


def test_layouts_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(OptionError, match=r"asks for 8 processes .* 3 are here: start them by torchrun"):
        join(Parallel(pipeline=4, data=2), torch.device("cpu"))
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(OptionError, match="choose a divisor of parallel.data, 4"):
        join(Parallel(data=4, experts=3), torch.device("cpu"))
    recipe = replace(Case().recipe(), batches=Batches(size=8, micro=2))
    with pytest.raises(OptionError, match="a divisor of the 4"):
        check_schedule(replace(recipe, parallel=Parallel(pipeline=2, microbatches=3)))
    with pytest.raises(OptionError, match="2 micro-batches do not fill a pipeline of 4"):
        check_schedule(replace(recipe, parallel=Parallel(pipeline=4, microbatches=2)))
    check_schedule(replace(recipe, parallel=Parallel(pipeline=4)))
