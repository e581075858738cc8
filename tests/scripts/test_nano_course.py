"""The parts of nano's course that are ours: codes, spellings, guides and the optimiser."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from foveate.document import Block, Box, Page
from foveate.model.attention import rotary_table
from foveate.model.ocr import OCR
from foveate.pages.markup import parse
from foveate.pages.tokenizer import Tokenizer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "nano"))
batches, codes, draw, muon, network, teacher, train = (
    importlib.import_module(name)
    for name in ("batches", "codes", "draw", "muon", "network", "teacher", "train")
)
HEADING, BLOCK, WORD, INSIDE = batches.HEADING, batches.BLOCK, batches.WORD, batches.INSIDE


@pytest.fixture(scope="module")
def taught() -> Any:
    return new_teacher()


def new_teacher() -> Any:
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


@pytest.mark.parametrize("fast", [True, False])
def test_muon_takes_bf16_where_it_is_fast(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries rounded to bf16 have 8 bits; those of fp32 have more."""
    monkeypatch.setattr(muon, "fast_bf16", lambda device: fast)
    update = muon.orthogonal(torch.randn(6, 10, generator=torch.Generator().manual_seed(1)))
    assert update.dtype is torch.float32
    assert update.equal(update.bfloat16().float()) == fast


@pytest.mark.parametrize("unit", ["_is_amx_tile_supported", "_is_avx512_bf16_supported"])
def test_either_unit_makes_bf16_fast(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert not muon.fast_bf16(torch.device("cpu")) and muon.fast_bf16(torch.device("cuda"))
    monkeypatch.setattr(torch.cpu, unit, lambda: True)
    assert muon.fast_bf16(torch.device("cpu"))


def test_type_is_as_small_as_asked_for_where_its_answers_fit() -> None:
    pages = batches.Pages(type_sizes=(20, 30), longest=640)
    assert pages.sizes_on(512) == pages.sizes_on(640) == (20, 30)
    smallest, largest = pages.sizes_on(1024)
    assert largest / smallest == pytest.approx(1.5)  # a range stays what it was, drawn larger
    assert smallest == pytest.approx(28.5, abs=0.1)
    assert batches.Pages(type_sizes=(40, 60), longest=640).sizes_on(1024) == (40, 60)
    padded = batches.Pages(type_sizes=(20, 30), padded_sizes=(30, 66))
    assert [padded.sizes_on(side) for side in (640, 1024)] == [(20, 30), (30, 66)]


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


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [train.rate_at(step, 300, peak=2.0) for step in (0, 49, 200, 250, 300)]
    assert rates == pytest.approx([0.04, 2.0, 2.0, 1.0, 0.1])
    assert train.rate_at(225, 300, peak=2.0, fall=0.5) == pytest.approx(1.0)


def steps_of_muon(rank: int, processes: int, folder: Path) -> None:
    """Three steps for matrices of several shapes, with gradients that all processes have alike."""
    if processes > 1:
        meeting = f"file://{folder / 'meeting'}"
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    generator = torch.Generator().manual_seed(3)
    weights = [
        torch.nn.Parameter(torch.randn(shape, generator=generator))
        for shape in [(6, 10), (2, 4, 8), (8, 3, 2, 2), (5, 5)]
    ]
    optimizer = muon.Muon(weights, lr=0.1)
    for _ in range(3):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
    torch.save([weight.detach() for weight in weights], folder / f"{processes}-{rank}.pt")


def test_processes_share_the_work_of_muon(tmp_path: Path) -> None:
    steps_of_muon(0, 1, tmp_path)
    torch.multiprocessing.spawn(steps_of_muon, args=(2, tmp_path), nprocs=2)
    alone, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1"))
    for one, other, another in zip(alone, first, second, strict=True):
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(one, another)


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


def letters(*rows: tuple[int, int, int, int, int, int, int]) -> Tensor:
    return torch.tensor(rows or [(0,) * 7])


def test_tokens_are_sums_of_their_letters(taught: Any) -> None:
    one, two = (0, 5, 10, 20, 3, 1, batches.NONE), (0, 5, 40, 20, 7, 0, 3)
    nothing = taught.codes(letters()[:0], 1, 8)
    together = taught.codes(letters(one, two), 1, 8) - nothing
    apart = taught.codes(letters(one), 1, 8) + taught.codes(letters(two), 1, 8) - 2 * nothing
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)
    assert not together[0, 0, 6].any() and together[0, 0, 5].any()
    assert nothing.flatten(1, 2)[0].unique(dim=0).shape[0] == 64  # each cell says where it is


def test_lines_of_a_cell_are_told_apart_after_some_training() -> None:
    """Two lines of six characters in each cell, 26 pixels apart, other ones each time."""
    torch.manual_seed(0)
    coder = codes.Codes(400, 16)
    spots = letters(
        *((0, cell, 10 * x + 6, y, 0, 0, 9) for cell in range(64) for x in range(6) for y in (20, 46))
    )
    optimizer = torch.optim.AdamW(coder.parameters(), lr=6e-3)
    shares = []
    for _ in range(60):
        spots[:, 4] = torch.randint(90, (len(spots),))
        loss, right, _ = coder.name(coder(spots, 1, 8), spots)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        shares.append(right.item())
    assert shares[0] < 0.6 and shares[-1] > 0.9


def test_what_patches_say_adds_up_to_their_cells(taught: Any) -> None:
    """Features that are what each patch's letters add, passed on as they are: nothing is wrong with them."""
    spots = letters(
        (0, 5, 10, 20, 3, 1, 9), (0, 5, 40, 63, 7, 0, 3), (1, 0, 0, 0, 8, 0, 3), (1, 7, 33, 16, 9, 2, 4)
    )
    code = taught.codes.write(spots)
    features = torch.zeros(2, 8, 16, code.shape[1])  # pages of 2 x 4 cells
    for (page, cell, x, y, *_), added in zip(spots.tolist(), code, strict=True):
        features[page, cell // 4 * 4 + y // 16, cell % 4 * 4 + x // 16] += added
    addends = codes.Addends(code.shape[1])
    wrong, sums = addends(features, spots, taught.codes)
    assert wrong.item() == pytest.approx(1, abs=0.05) and not sums.any()  # as it starts
    addends.weight.data += torch.eye(code.shape[1])
    wrong, sums = addends(features, spots, taught.codes)
    assert wrong < 1e-10
    torch.testing.assert_close(sums[0, 1, 1], code[0] + code[1])
    torch.testing.assert_close((sums[1, 0, 0], sums[1, 1, 3]), (code[2], code[3]))


def test_rare_characters_count_for_more() -> None:
    what = torch.tensor([7, 7, 7, 7, 2])
    assert codes.rarity(what).tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5, 1.0])
    assert codes.weighted(torch.tensor([1.0, 0.0]), torch.tensor([3.0, 1.0])) == 0.75
    places = codes.rarest(what, torch.tensor([0, 0, 1, 3, 3]), 4)
    assert places.tolist() == pytest.approx([0.5 / 0.6, 0.5 / 0.6, 0.5, 1 / 0.6])  # nothing stands at 2


@pytest.mark.parametrize(("lost", "least"), [(4, 1.5), (0, 0.1)])
def test_a_rare_character_lost_costs_more_than_a_common_one(taught: Any, lost: int, least: float) -> None:
    """Of 40 letters in cells of their own, 39 alike, one is not in the tokens."""
    spots = letters(*((0, cell, 30, 30, 9 if cell == 4 else 3, 0, 5) for cell in range(40)))
    batch = batches.Batch(*[torch.zeros(1, 1, 512, 512)[0], *[torch.zeros(1, 1)] * 4, spots, 0])
    tokens = taught.told(batch, torch.cat([spots[:lost], spots[lost + 1 :]]))
    wrong = taught.distance(batch, tokens) / taught.distance(batch, taught.told(batch, spots[:0]))
    mean = 1 / 40
    assert wrong > least * mean and (wrong > mean) == (lost == 4)


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


def test_guides_name_the_cells_of_a_token() -> None:
    guide = torch.tensor([[[5, 6, 7, -1], [3, -1, -1, -1], [-1, -1, -1, -1]]])
    spots = torch.tensor([[[0, 64 + 50], [190, 20], [-1, -1]]])
    found = {
        name: (layer, heads) for name, layer, heads in teacher.guides(guide, spots, 3, torch.Generator())
    }
    assert found["third"][1][0][1].tolist() == [[5, 3, -1]]
    assert found["behind"][1][0][1].tolist() == [[-1, 7, 3]]  # the last cell of the token before
    back = [places.tolist() for _, places, _ in found["back"][1][:3]]
    assert back == [[[-1, 0, -1]], [[-2, -1, -1]], [[-3, -2, -1]]]  # the tokens before, where there are some
    layer, heads = found["first"]
    assert layer == teacher.FIRST and all(cells.tolist() == [[5, 3, -1]] for _, cells, _ in heads)
    shares = torch.stack([share for _, _, share in heads])[:, 0, :2]
    torch.testing.assert_close(shares.sum(0), torch.ones(2))
    assert shares[3, 0] == pytest.approx(0.594, abs=0.01)  # pixel 50 lies between stripes 3 and 4
    assert found["second"][1][0][1].tolist() == [[6, -1, -1]]  # the second token's cell is the row's last


def test_a_token_of_the_same_line_is_an_earlier_one() -> None:
    height = torch.tensor([[20, 20, -1, 50, 20, 50, 50]])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([teacher.same_line(height, generator) for _ in range(40)])
    again = teacher.same_line(height, generator.manual_seed(0))
    assert again.equal(drawn[:1])  # a run that goes on draws what it would have drawn
    found = [sorted(set(column.tolist())) for column in drawn.T]
    assert found == [[-1], [0], [-1], [-1], [0, 1], [3], [3, 5]]


def test_a_head_that_looks_where_it_is_shown_loses_nothing(taught: Any) -> None:
    attention, width = taught.guided[3], taught.model.config.decoder.hidden_size
    cells, share = torch.tensor([[-1, -1, 1]]), torch.ones(1, 3)
    before = [p.detach().clone() for p in (attention.q_proj.weight, attention.k_proj.weight)]
    for p in (attention.q_proj.weight, attention.k_proj.weight):
        torch.nn.init.zeros_(p)
        p.data[39, 0] = p.data[79, 0] = 9.0  # the slowest turn, which three places hardly change
    x = torch.zeros(1, 3, width)
    x[0, 1, 0] = x[0, 2, 0] = 1.0
    x[0, 0, 0] = -1.0
    rotary = rotary_table(torch.arange(3)[None], attention.head_dim, 500_000.0)
    looking = teacher.guide_loss(attention, (x, rotary), [(0, cells, share)], torch.tensor([0]))
    elsewhere = teacher.guide_loss(attention, (x, rotary), [(0, cells, 1 - share)], torch.tensor([0]))
    attention.q_proj.weight.data, attention.k_proj.weight.data = before
    assert looking.item() == pytest.approx(0.693, abs=0.01)  # itself and the cell before it are alike
    assert elsewhere > 10


def test_blurred_letters_stay_in_their_cells() -> None:
    rows = letters(*((0, cell, 1, 62, 5, 0, 9) for cell in range(64))).repeat(20, 1)
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
        if label == batches.IGNORE:
            assert spot == (-1, -1) and not at
        elif not tokenizer.decode([label]).strip() or label == tokenizer.eos:
            assert not at  # nothing is drawn there
        else:
            assert at[0] == 1 + spot[1] // 64 * 5 + spot[0] // 64
    (first_line, *_), (second_line, *_) = ((a, b, box) for a, b, box in page.lines)
    assert (first_line, second_line) == (0, len("Above and\n\n"))
    found = [spot for spot in spots if spot[0] >= 0]
    heights = [y for _, y in found]
    assert heights == sorted(heights) and len(set(heights)) == 3
    lines = [[spot for spot in found if spot[1] == height] for height in sorted(set(heights))]
    assert all(across == sorted(across) for across in ([x for x, _ in line] for line in lines))
    assert lines[0][-1][0] >= page.lines[0][2][2]  # the break is behind its line
    left, _, _, bottom = page.lines[1][2]
    assert lines[2] == [(left, lines[2][0][1])] and lines[2][0][1] > bottom  # the end is below the last


def test_tokens_in_two_parts_write_the_same_and_stand_where_their_letters_do() -> None:
    words = "Above everything and\n\nbelow 1234 <tag>"
    page = draw.draw(3, words, 512, 512, sizes=(30, 30), degrade=0.0, breaks=True)
    tokenizer = Tokenizer.load(batches.ASSETS)
    plain = batches.row_of(page, tokenizer, "text")
    parted = batches.row_of(page, tokenizer, "text", rng=np.random.default_rng(1), split=1.0)
    assert batches.row_of(page, tokenizer, "text", rng=np.random.default_rng(1)) == plain
    answers = [row[0][row[1].index(next(i for i in row[1] if i >= 0)) + 1 :] for row in (plain, parted)]
    silent = len(plain[0]) - len(answers[0])
    assert tokenizer.decode(parted[0][silent:]) == tokenizer.decode(plain[0][silent:]) == page.text
    ids, labels, cells, spots = parted
    assert len(ids) == len(labels) == len(cells) == len(spots) > len(plain[0]) + 5
    place = {int(offset): tuple(xy) for offset, (_, *xy) in zip(page.char_offsets, page.chars, strict=True)}
    offset = asked = 0
    for token, label, spot in zip(ids[silent:], labels[silent - 1 :], spots[silent - 1 :], strict=False):
        piece = tokenizer.decode([token])
        assert label in (token, batches.IGNORE)
        asked += label == token
        first = next((i for i in range(offset, offset + len(piece)) if i in place), None)
        assert first is None or tuple(map(int, place[first])) == spot
        offset += len(piece)
    assert len(answers[0]) / 2 < asked < len(ids) - silent


def test_the_first_token_of_a_line_and_the_end_count_for_more() -> None:
    spots = torch.tensor([[[-1, -1], [9, 20], [30, 20], [50, 20], [9, 52], [20, 52], [9, 84], [-1, -1]]])
    counts = teacher.turning(spots)
    assert (counts[0] > 1).tolist() == [False, True, False, False, True, False, True, False]


def test_a_heading_s_mark_stands_at_its_first_character() -> None:
    page = draw.draw(3, "# Above\n\nbelow", 256, 256, sizes=(30, 30), headings=0, degrade=0.0, breaks=True)
    _, drawn, others = batches.answer_of(page, boxes=False)
    assert others[0] == others[1] == drawn[2]
    assert sorted(others) == [0, 1, len("# Above"), len(page.text)]


def test_pages_end_anywhere_when_asked_to() -> None:
    """The words go down to the page's end, or to some height of it."""
    text = "word " * 400
    heights = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pages = batches.Pages(partly=1.0, degrade=0.0, headings=0.0)
        source = type("Source", (), {"sample": lambda *_: text})()
        page = batches.draw_page(rng, source, pages, 256, (16, 16), short=False)
        heights.append(int(page.chars[:, 2].max() - page.chars[:, 2].min()))
    assert min(heights) < 100 and max(heights) > 160


def test_a_batch_read_again_goes_on_from_mistakes_of_the_same_length() -> None:
    """Only where they are as long as what stood there."""
    ids, labels = torch.tensor([[1, 5, 6, 7]]), torch.tensor([[-100, 6, 7, 2]])
    lengths = torch.tensor([0, 0, 0, 3, 4, 1, 3, 4, 9])
    seen = batches.Batch(torch.zeros(1), ids, labels, *[torch.zeros(1)] * 3, step=0)
    generator = torch.Generator().manual_seed(0)
    assert seen.misread(lengths, 1.0, 0.0, generator).tolist() == ids.tolist()
    seen.read = torch.tensor([[8, 3, 3, 2]])  # the second for 6 fits, the third for 7 is shorter
    assert seen.misread(lengths, 1.0, 0.0, generator).tolist() == [[1, 5, 3, 7]]
    assert seen.misread(lengths, 0.0, 0.0, generator).tolist() == ids.tolist()


def test_other_tokens_of_the_same_length_stand_in() -> None:
    labels = torch.arange(3, 203)[None]
    lengths = torch.arange(300) % 4
    ids = torch.cat([torch.zeros(1, 1, dtype=torch.long), labels[:, :-1]], 1)
    seen = batches.Batch(torch.zeros(1), ids, labels, *[torch.zeros(1)] * 3, step=0)
    given = seen.misread(lengths, 0.0, 1.0, torch.Generator().manual_seed(0))
    other = given != ids
    assert 20 < int(other.sum()) < 80 and not other[0, 0]  # about one in four finds one of its length
    assert torch.equal(lengths[given], lengths[ids])


def test_a_place_off_still_counts_as_found_a_cell_off_does_not(taught: Any) -> None:
    told = torch.tensor([[[14, 82], [22, 98], [78, 82], [-1, -1]]])
    states = torch.zeros(1, 4, taught.model.config.decoder.hidden_size)
    said = taught.tell(states, torch.tensor([[[22, 82]] * 3 + [[-1, -1]]]), torch.tensor([True]))
    _, close = taught.spotting(told, said)
    assert close == pytest.approx(1 / 3)
    assert not said[0, 3].any()  # nothing is told of a token that stands nowhere


def test_told_places_take_the_place_of_what_was_said(taught: Any) -> None:
    spots = torch.tensor([[[14, 82], [150, 30]], [[14, 82], [150, 30]]])
    states = torch.randn(2, 2, taught.model.config.decoder.hidden_size)
    said = taught.tell(states, spots, torch.tensor([True, False]))
    loss, close = taught.spotting(spots[:1], said[:1])
    assert close == 1 and loss < 1.5
    torch.testing.assert_close(said[1], states[1])


def test_heads_begin_as_the_codes_reader(taught: Any) -> None:
    """And pass on nothing of the first token, at which they look when they have nothing to read."""
    taught.set_up()
    first = taught.model.decoder.embed_tokens.weight[taught.model.config.decoder.bos_token_id].detach()
    for layer in (teacher.FIRST, teacher.SECOND):
        weight = taught.guided[layer].v_proj.weight.view(codes.ROWS, codes.STRIPE, -1)
        passed = weight @ torch.nn.functional.normalize(first, dim=0)
        torch.testing.assert_close(passed, torch.zeros(codes.ROWS, codes.STRIPE), atol=1e-5, rtol=0)
        lost = torch.cat([taught.codes.stripe, taught.codes.pairs], 1) - weight
        assert torch.linalg.matrix_rank(lost.flatten(0, 1)) == 1


def batch_of(text: str, size: float, side: int = 256) -> Any:
    page = draw.draw(4, text, side, side, sizes=(size, size), degrade=0.0)
    ids, labels, cells, spots = batches.row_of(page, Tokenizer.load(batches.ASSETS), "text")
    cells = [found + [-1] * (batches.CELLS_PER_TOKEN - len(found)) for found in cells]
    return batches.Batch(
        torch.from_numpy(page.image)[None],
        *(torch.tensor(rows)[None] for rows in (ids, labels, cells, spots)),
        torch.from_numpy(batches.letters_of(page, 0).astype(np.int64)),
        step=0,
    )


PANGRAM = "The quick brown fox jumps over the lazy dog while vexed wizards make toxic brew"


def test_experts_go_by_told_places_before_any_training() -> None:
    batch = batch_of("A few words that stand on a page and fill it " * 4, 24)
    taught = new_teacher()
    taught.set_up()
    losses = []
    for taught.share_told in (0.0, 1.0):
        with torch.no_grad():
            losses.append(taught.decoder_losses(batch, torch.Generator().manual_seed(1)))
    taught.share_told = 0.0
    untold, told = losses
    assert told["route"] < 0.9 < untold["route"] - 0.5


def test_the_last_token_is_found_before_any_training() -> None:
    """Heads of layer MATCHED look, by its pairs of characters, at the cell in which the last token ends."""
    batch, taught = batch_of(PANGRAM, 40), new_teacher()
    losses = []
    for build in (lambda: None, taught.set_up):
        build()
        with torch.no_grad():
            losses.append(taught.decoder_losses(batch, torch.Generator().manual_seed(1))["behind"].item())
    before, after = losses
    assert after < 0.75 * before, losses


def test_what_is_sought_is_the_sum_of_the_last_tokens_pairs(taught: Any) -> None:
    tokenizer = Tokenizer.load(batches.ASSETS)
    ids = torch.tensor([tokenizer._inner.encode(" the old", add_special_tokens=False).ids])
    assert ids.shape == (1, 2)
    number = {character: i for i, character in enumerate(batches.ALPHABET)} | {" ": batches.NONE}
    pair = {a + b: taught.codes.pair[number[a], number[b]] for a, b in ("ld", "ol", " o", "he", "th", " t")}
    late, back = taught.codes.late, taught.codes.back
    last = late[0] * pair["ld"] + late[1] * pair["ol"] + late[2] * pair[" o"]
    first = late[0] * pair["he"] + late[1] * pair["th"] + late[2] * pair[" t"]
    sought = taught.sought(ids)[0]
    torch.testing.assert_close(sought[0], back[0] * first)
    torch.testing.assert_close(sought[1], back[0] * last + back[1] * first)


def test_a_line_is_found_by_the_pairs_that_it_holds(taught: Any) -> None:
    """Of two cells with the same characters, the one where they stand in the order sought."""
    a, b, c, none = 10, 20, 30, batches.NONE
    rows = letters(
        (0, 3, 10, 30, a, 1, none), (0, 3, 30, 30, b, 0, a), (0, 3, 50, 30, c, 0, b),
        (0, 9, 10, 30, c, 1, none), (0, 9, 30, 30, b, 0, c), (0, 9, 50, 30, a, 0, b),
    )  # fmt: skip
    tokens = taught.codes(rows, 1, 4)
    pair = taught.codes.pair
    near = torch.tensor([[[0.0, 0.0, 1.0, 0.0, 0.0]]])
    for sought, cell in ((pair[a, b] + pair[b, c], 3), (pair[c, b] + pair[b, a], 9)):
        _, found = taught.codes.search(tokens, sought[None, None], torch.tensor([[cell]]), near)
        assert found == 1


def test_answers_keep_the_lines_of_the_page() -> None:
    words = "one two three four five six seven eight nine ten eleven twelve"
    for breaks in (False, True):
        page = draw.draw(5, words, 256, 256, sizes=(40, 40), headings=0, degrade=0.0, breaks=breaks)
        assert len(page.lines) > 2 and page.text.split() == words.split()[: len(page.text.split())]
        assert page.text.count("\n") == (len(page.lines) - 1 if breaks else 0)


@pytest.mark.parametrize(("height", "width"), [(256, 140), (140, 256)])
def test_an_oblong_page_stands_between_grey_bars(height: int, width: int) -> None:
    page = draw.draw(5, "one two three", height, width, sizes=(30, 30), headings=0, degrade=0.0)
    whole = batches.framed(page, 256)
    left, top = (256 - width) // 2, (256 - height) // 2
    assert whole.image.shape == (256, 256) and whole.text == page.text
    assert (whole.image[top : top + height, left : left + width] == page.image).all()
    outside = np.ones((256, 256), bool)
    outside[top : top + height, left : left + width] = False
    assert (whole.image[outside] == 127).all()
    assert (whole.chars == page.chars + [0, left, top]).all()
    dark = [whole.image[y - 12 : y + 12, x - 8 : x + 8].min() for _, x, y in whole.chars]
    assert max(dark) < 100
    assert batches.framed(whole, 256) is whole


@pytest.mark.parametrize("frame", [None, (40, 0, 472, 512)])
def test_answers_with_boxes_are_what_the_reader_parses(frame: Any) -> None:
    """Boxes of the blocks on the grid of the page, which may stand between bars; nothing else is changed."""
    width = 512 if frame is None else frame[2] - frame[0]
    words = "# The Harbour\n\nThe old man lay quiet and no boat came in.\n\nIt was 1887."
    page = batches.framed(
        draw.draw(3, words, 512, width, sizes=(30, 30), headings=0, degrade=0.0, breaks=True), 512
    )
    assert page.frame == frame
    answer, spots, corners = batches.answer_of(page, boxes=True)
    blocks = parse(answer, width, 512)
    assert [block.kind for block in blocks] == ["title", "text", "text"]
    assert [" ".join(block.text.split()) for block in blocks] == words.split("\n\n")
    ink = page.image < 100
    for block in blocks:
        box = block.box
        left, right = (round(x) + (frame or (0,))[0] for x in (box.x0, box.x1))
        top, bottom = round(box.y0), round(box.y1)
        assert ink[top : bottom + 1, left : right + 1].any(1).mean() > 0.6
        ink[top : bottom + 1, left : right + 1] = False
    assert not ink.any(), "ink outside the boxes"
    glyphs = [draw.ALPHABET[number] for number in page.chars[:, 0]]
    assert [answer[offset] for offset in spots] == glyphs
    assert sorted([*spots, *corners]) == sorted(set(spots) | set(corners))
    assert max(corners) == len(answer)  # the end has a place too
    assert {answer[offset] for offset in corners if offset < len(answer)} > set("<|det>[],\n")


def test_the_prompt_with_grounding_alone_is_answered_with_boxes() -> None:
    page = draw.draw(3, "The old man lay quiet.", 256, 256, sizes=(30, 30), headings=0, degrade=0.0)
    tokenizer = Tokenizer.load(batches.ASSETS)
    ids, labels, cells, spots = batches.row_of(page, tokenizer, "markdown", boxes=True)
    assert len(ids) == len(labels) == len(cells) == len(spots)
    answer = tokenizer.decode([label for label in labels if label >= 0])
    assert answer.startswith("<|ref|>text<|/ref|><|det|>[[")
    corner = spots[labels.index(tokenizer.encode("<|ref|>")[0])]
    first = spots[next(place for place, found in enumerate(cells) if found)]
    assert (
        0 <= first[0] - corner[0] < 30 and 0 <= first[1] - corner[1] < 30
    )  # left top, then its first letter
    assert tokenizer.decode([i for i in batches.row_of(page, tokenizer, "text")[1] if i >= 0])[:3] == "The"


def test_boxes_are_right_as_far_as_they_overlap() -> None:
    measure = importlib.import_module("measure")
    page = draw.draw(3, "One.\n\nTwo.", 256, 256, sizes=(30, 30), headings=0, degrade=0.0)
    whole = [Block("text", "One.", (Box(*box),)) for _, _, box in page.blocks()]
    half = [replace(b, boxes=(replace(b.box, x1=(b.box.x0 + b.box.x1) / 2),)) for b in whole]
    for blocks, right in ((whole, 1.0), (whole[::-1], 1.0), (half, 0.5), (whole[1:], 0.5), ([], 0.0)):
        read = Page(1, 256, 256, tuple(blocks), "")
        assert measure.boxes_right(read, page) == pytest.approx(right, abs=0.01)


def test_shapes_of_oblong_pages_fill_the_square_one_way() -> None:
    shapes = [batches.oblong(np.random.default_rng(seed), 1024) for seed in range(50)]
    assert {max(shape) for shape in shapes} == {1024}
    assert all(512 <= min(shape) < 1000 for shape in shapes)
    assert 25 < sum(height > width for height, width in shapes) < 45


def test_numbers_are_put_between_words() -> None:
    text = importlib.import_module("text")
    words = "\n\n".join([" ".join(["word"] * 60)] * 2)
    changed = text.numbered(np.random.default_rng(3), words)
    assert changed == text.numbered(np.random.default_rng(3), words) != words
    assert changed.count("\n\n") == 1 and changed.count("word") == 120
    assert sum(character.isdigit() for character in changed) > 5


def test_steps_without_reading_leave_the_decoder(taught: Any) -> None:
    batch = batch_of("The old harbour", 30, 256)
    losses = taught.whole_losses(batch, True, torch.Generator().manual_seed(0), reads=False)
    assert {"name", "code", "patch", "addends"} <= set(losses) and "text" not in losses
    taught.zero_grad()
    train.total(losses).backward()
    assert taught.model.encoder.projector.layers.weight.grad.any()
    assert all(p.grad is None for p in taught.model.decoder.parameters())


def test_moving_codes_learn_where_they_are_to() -> None:
    """The codes and what tells of them are among the parameters then, and have losses of their own."""
    new = new_teacher()
    batch = batch_of("The old harbour", 30, 256)
    for moving in (False, True):
        train.optimizers(new, train.trained_parts("whole", moving_codes=moving), 1e-3)
        losses = new.whole_losses(batch, True, torch.Generator().manual_seed(0), reads=False)
        assert ("told_name" in losses) == moving
        new.zero_grad()
        train.total(losses).backward()
        assert (new.codes.character.grad is not None) == moving


def test_the_codes_alone_learn_at_the_rate_asked_for(taught: Any) -> None:
    alone, beside = (
        train.optimizers(taught, parts, 1e-3)[-1].param_groups
        for parts in (["codes."], train.trained_parts("whole", moving_codes=True))
    )
    assert {group["scale"] for group in alone} == {1.0}
    moved = [group["scale"] for group in beside for p in group["params"] if p is taught.codes.character]
    assert moved == [train.PACES["codes."]] != [1.0]


@pytest.mark.parametrize(
    ("more", "said"), [(["--start", "x"], "needs --helps"), (["--frozen-encoder"], "choose one")]
)
def test_steps_that_would_learn_nothing_are_refused(
    more: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    command = ["train.py", "whole", "--run", str(tmp_path / "run"), "--read-every", "2", *more]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stopped:
        train.main()
    assert stopped.value.code == 2 and said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_optimisers_of_other_parts_are_told_apart(taught: Any) -> None:
    first, again, other = (
        train.optimizers(taught, train.trained_parts("whole", frozen_sam=frozen), 1e-3)
        for frozen in (False, False, True)
    )
    shapes = [[train.group_sizes(one.state_dict()) for one in some] for some in (first, again, other)]
    assert shapes[0] == shapes[1] != shapes[2]


def test_a_folder_without_the_corpus_is_one_clear_line(tmp_path: Path) -> None:
    text = importlib.import_module("text")
    with pytest.raises(SystemExit, match=r"has no en\.txt\.xz and no .*: give its folder by --corpus"):
        text.prepare(tmp_path, tmp_path)


def test_weights_are_judged_by_the_same_pages_each_time(tmp_path: Path) -> None:
    """An exported network and the run that it came from are judged alike, and a spoilt one is not."""
    judge = importlib.import_module("judge")
    known = judge.teacher_of(None, batches.ASSETS, judge.HELPS)
    torch.save({"teacher": known.state_dict()}, tmp_path / train.CHECKPOINT)
    page = batch_of("The old harbour lay quiet. No boat had come in since the day before.", 30, 512)
    with pytest.raises(SystemExit, match="nowhere.*name the folder of a run"):
        judge.teacher_of(tmp_path / "nowhere", batches.ASSETS, judge.HELPS)
    first = judge.judged(known, [page])
    assert first["text_right"] > 0.5
    assert judge.judged(judge.teacher_of(tmp_path, batches.ASSETS, judge.HELPS), [page]) == first
    torch.nn.init.normal_(known.model.encoder.projector.layers.weight, std=0.02)
    assert judge.judged(known, [page])["text"] > first["text"] + 1


def test_two_networks_are_averaged_weight_by_weight(tmp_path: Path, monkeypatch: Any) -> None:
    average = importlib.import_module("average")
    for name, value in (("one", 1.0), ("two", 3.0), ("three", 5.0)):
        (tmp_path / name).mkdir()
        weight = torch.full((2,) if name != "three" else (3,), value, dtype=torch.bfloat16)
        save_file({"w": weight}, tmp_path / name / average.NAME)
        save_file({"h": weight}, tmp_path / f"{name}.safetensors")
    (tmp_path / "one" / "config.json").write_text("{}")
    helps = ["--helps", *(str(tmp_path / f"{name}.safetensors") for name in ("one", "two"))]

    def run(*arguments: str) -> None:
        paths = [
            str(tmp_path / name) if name in ("one", "two", "three", "out") else name for name in arguments
        ]
        monkeypatch.setattr("sys.argv", ["average.py", *paths])
        average.main()

    run("one", "two", "--out", "out", "--share", "0.25", *helps)
    assert load_file(tmp_path / "out" / average.NAME)["w"].tolist() == [1.5, 1.5]
    assert load_file(tmp_path / "out" / average.HELPS)["h"].tolist() == [1.5, 1.5]
    assert (tmp_path / "out" / "config.json").exists()
    with pytest.raises(SystemExit, match="not two of one kind"):
        run("one", "three", "--out", "out")
    with pytest.raises(SystemExit):
        run("one", "two", "--out", "out", "--share", "1.5")
