"""The parts of nano's course that are ours: codes, spellings, guides and the optimiser."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from foveate.model.ocr import OCR
from foveate.pages.tokenizer import Tokenizer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "nano"))
batches, codes, draw, muon, network, teacher = (
    importlib.import_module(name) for name in ("batches", "codes", "draw", "muon", "network", "teacher")
)
HEADING, BLOCK, WORD, INSIDE = batches.HEADING, batches.BLOCK, batches.WORD, batches.INSIDE


@pytest.fixture(scope="module")
def taught() -> Any:
    torch.manual_seed(0)
    tokenizer = Tokenizer.load(batches.ASSETS)
    model = OCR(network.nano_config(tokenizer))
    network.initialise(model, tokenizer)
    return teacher.Teacher(model, tokenizer)


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (3, 8, 8)])
def test_muon_makes_updates_orthogonal(shape: tuple[int, ...]) -> None:
    update = muon.orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(1)), rounds=8)
    values = torch.linalg.svdvals(update)
    assert values.min() > 0.5 and values.max() < 1.3


def test_muon_steps_are_as_large_as_adamws() -> None:
    """A step moves every singular value by the rate times 0.2 sqrt(8), however small its gradient."""
    weight = torch.nn.Parameter(torch.diag(torch.tensor([9.0, 3.0, 1.0, 0.5]).repeat(2)))
    before = weight.detach().diagonal().clone()
    optimizer = muon.Muon([weight], lr=0.1, weight_decay=0.0)
    weight.square().sum().backward()
    optimizer.step()
    moved = (before - weight.detach().diagonal()) / (0.1 * 0.2 * 8**0.5)
    assert moved.min() > 0.4 and moved.max() < 1.3
    assert weight.detach().fill_diagonal_(0).abs().max() < 1e-5


def test_what_a_character_starts() -> None:
    text = "# Old\n\nA b\n\n# New\n\nEnd"
    found = [batches.starts(text, offset) for offset in (2, 3, 7, 9, 14, 15, 19)]
    assert found == [HEADING, INSIDE, BLOCK, WORD, HEADING, INSIDE, BLOCK]


def test_places_between_two_are_between_their_codes() -> None:
    table = torch.eye(8)
    middle = codes.between(table, torch.tensor([0, 4, 8, 12, 63]))
    expected = [[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    torch.testing.assert_close(middle[:4, :2], torch.tensor(expected))
    assert middle[4, 7] == 1 and torch.allclose(middle.sum(1), torch.ones(5))


def letters(*rows: tuple[int, int, int, int, int, int]) -> Tensor:
    return torch.tensor(rows)


def test_tokens_are_sums_of_their_letters(taught: Any) -> None:
    one, two = (0, 5, 10, 20, 3, 1), (0, 5, 40, 20, 7, 0)
    together = taught.codes(letters(one, two), 1, 64)
    apart = taught.codes(letters(one), 1, 64) + taught.codes(letters(two), 1, 64)
    torch.testing.assert_close(together, apart)
    assert not together[0, 6].any() and together[0, 5].any()


def test_letters_are_told_from_their_own_code(taught: Any) -> None:
    rows = letters(*((0, cell, 12, 30, cell * 2, cell % 4) for cell in range(60)))
    _, right, starts_right = taught.codes.name(taught.codes(rows, 1, 64), rows)
    assert right == 1 and starts_right > 0.9


def test_spellings_settle_into_the_rows(taught: Any) -> None:
    decoder, spelling = taught.model.decoder, taught.spelling
    torch.nn.init.normal_(spelling.write, std=0.1)
    torch.nn.init.normal_(spelling.read, std=0.1)
    ids = torch.tensor([[5, 300, 4000]])
    read = taught.embed(ids, torch.zeros(0, decoder.config.hidden_size))
    rows = decoder.lm_head.weight + spelling.rows(spelling.write)
    settled = taught.settle()
    torch.testing.assert_close(settled.decoder.embed_tokens(ids), read)
    torch.testing.assert_close(settled.decoder.lm_head.weight, rows)
    assert not spelling.write.any() and not spelling.read.any()


def test_guides_name_a_tokens_cells_in_order() -> None:
    guide = torch.tensor([[[4, 5, 6, -1], [7, -1, -1, -1], [-1, -1, -1, -1]]])
    spots = torch.tensor([[[0, 64 + 50], [0, 20], [-1, -1]]])
    guides = teacher.guides(guide, spots)
    found = {name: wanted[0][2].tolist() for name, wanted in guides.items() if name != "line"}
    lines = {(layer, head): cells.tolist() for layer, head, cells in guides["line"]}
    assert lines[2, 3] == [[4, 0, -1]] and lines[2, 1] == [[0, 7, -1]] and lines[2, 0] == [[0, 0, -1]]
    assert lines[3, 3] == [[5, 0, -1]] and lines[3, 1] == [[0, 0, -1]]
    assert found["next"] == [[4, 7, -1]] and found["second"] == [[5, -1, -1]]
    assert found["third"] == [[6, -1, -1]]
    assert found["behind"] == [[-1, 6, 7]]  # the last cell of the token before


def test_blurred_letters_stay_in_their_cells() -> None:
    rows = letters(*((0, cell, 1, 62, 5, 0) for cell in range(64))).repeat(20, 1)
    blurred = codes.blur(rows, torch.Generator().manual_seed(3))
    assert len(rows) * 0.97 < len(blurred) < len(rows)
    assert blurred[:, 2:4].min() >= 0 and blurred[:, 2:4].max() < 64
    assert 0.005 < float(np.mean((blurred[:, 4] != 5).numpy())) < 0.07


def test_rows_say_where_each_token_stands(taught: Any) -> None:
    page = draw.draw(3, "Above and\n\nbelow", 256, 256, sizes=(30, 30), degrade=0.0, breaks=True)
    tokenizer = Tokenizer.load(batches.ASSETS)
    ids, labels, cells, spots = batches.row_of(page, tokenizer, "text")
    assert len(ids) + 1 == len(labels) + 1 == len(cells) + 1 == len(spots) + 1
    for label, at, spot in zip(labels, cells, spots, strict=True):
        if label == batches.IGNORE or not tokenizer.decode([label]).strip() or label == tokenizer.eos:
            assert spot == (-1, -1) and not at
        else:
            assert at[0] == 1 + spot[1] // 64 * 5 + spot[0] // 64
    heights = [spot[1] for spot in spots if spot[0] >= 0]
    assert heights[-1] > heights[0] + 25  # the second paragraph is below the first


def test_a_place_off_still_counts_as_found_a_cell_off_does_not(taught: Any) -> None:
    layers = taught.model.decoder.layers
    states = torch.zeros(1, 4, taught.model.config.decoder.hidden_size)
    spots = torch.tensor([[[16, 80], [24, 100], [80, 80], [-1, -1]]])
    for head in taught.spot_heads:
        torch.nn.init.zeros_(head.weight)
        head.bias.data.zero_()
        head.bias.data[torch.arange(4) * 16 + torch.tensor([0, 1, 3, 2])] = 20.0  # pixel 24 across, 80 down
    _, close = taught.spotting(spots, {layer: (None, states) for layer in layers})
    assert close == pytest.approx(1 / 3)


def test_answers_keep_the_lines_of_the_page() -> None:
    words = "one two three four five six seven eight nine ten eleven twelve"
    for breaks in (False, True):
        page = draw.draw(5, words, 256, 256, sizes=(40, 40), headings=0, degrade=0.0, breaks=breaks)
        assert len(page.lines) > 2 and page.text.split() == words.split()[: len(page.text.split())]
        assert page.text.count("\n") == (len(page.lines) - 1 if breaks else 0)
