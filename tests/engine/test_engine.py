"""A page's text is the same read alone, in any company, with a cache and without."""

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from foveate.config import OCRConfig
from foveate.engine import engine as engine_module
from foveate.engine.engine import Engine, Reading, Request
from foveate.engine.sampling import Sampling, banned_tokens
from foveate.errors import OptionError
from foveate.model.attention import sequence_mask
from foveate.model.ocr import OCR
from foveate.model.source import ASSETS
from foveate.pages.mode import MODES
from foveate.pages.tokenizer import Tokenizer
from foveate.pages.views import PageViews
from tests.tiny import network, views, with_decoder

TOKENIZER = Tokenizer.load(ASSETS / "nano")
VOCABULARY = (
    len(TOKENIZER) + 5
)  # as the released one, the network has more rows than the tokenizer has tokens


def config(**sizes: Any) -> OCRConfig:
    return replace(with_decoder(vocab_size=VOCABULARY, **sizes), image_token_id=TOKENIZER.image)


@pytest.fixture(scope="module", params=[None, 4], ids=["full", "window"])
def model(request: pytest.FixtureRequest) -> OCR:
    return network(config(sliding_window=request.param))


@pytest.fixture(scope="module")
def plain() -> OCR:
    return network(config())


@dataclass(frozen=True)
class Sizes:
    """Sides in pixels of a page that no mode would make: small ones are quick."""

    whole: int = 64
    tile: int = 0
    grid: tuple[int, int] = (1, 1)

    def views(self, seed: int) -> PageViews:
        dice = torch.Generator().manual_seed(seed)
        columns, rows = self.grid
        tiles = torch.randn(columns * rows, 3, self.tile, self.tile, generator=dice) if self.tile else None
        return PageViews(torch.randn(3, self.whole, self.whole, generator=dice), tiles, self.grid)

    @property
    def tokens(self) -> int:
        side, columns, rows = self.whole // 64, *(count * self.tile // 64 for count in self.grid)
        return side * (side + 1) + 1 + (rows * (columns + 1) if self.tile else 0)


SMALL, WIDE, TALL = Sizes(), Sizes(128), Sizes(64, 128, (1, 2))


def page(
    sizes: Sizes = SMALL, seed: int = 0, max_tokens: int = 8, prompt: str = "Free OCR.", **how: Any
) -> Request:
    ids = TOKENIZER.encode_prompt(f"<image>\n{prompt}", sizes.tokens)
    return Request(ids, sizes.views(seed), max_tokens, Sampling(**how), key=seed)


def pages() -> list[Request]:
    """Pages of different lengths, in different company."""
    return [
        page(SMALL, 1),
        page(WIDE, 2, max_tokens=3),
        page(TALL, 3, max_tokens=14, prompt="Convert it to markdown, please."),
        page(SMALL, 4, max_tokens=1),
        page(TALL, 5, max_tokens=6, ngram_size=2),
        page(WIDE, 6, max_tokens=11, ngram_size=3, ngram_window=8, prompt="OCR."),
    ]


def run(engine: Engine, requests: Sequence[Request] = ()) -> dict[Any, Reading]:
    """Every request to its end, by its key."""
    for request in requests:
        engine.submit(request)
    done: dict[Any, Reading] = {}
    while engine.busy:
        for progress in engine.step():
            if progress.reading.stop:
                assert progress.reading.request.key not in done, "ends once"
                done[progress.reading.request.key] = progress.reading
    return done


def alone(model: OCR, request: Request) -> Reading:
    return run(Engine(model, TOKENIZER, 1), [request])[request.key]


@torch.inference_mode()
def slow_twin(model: OCR, request: Request) -> tuple[list[int], list[float]]:
    """Greedy tokens and their logarithms, with the whole sequence through the decoder for each token."""
    chosen: list[int] = []
    logs: list[float] = []
    guard, allowed = request.sampling, {TOKENIZER.id_of(token) for token in ("<td>", "</td>")}
    vision, start = model.encode([request.views]), torch.tensor([len(request.ids)])
    while len(chosen) < request.max_tokens:
        ids = torch.tensor([[*request.ids, *chosen]])
        mask = sequence_mask(None, start, model.config.decoder.sliding_window, ids.shape[1])
        hidden = model.decoder(model.embed(ids, vision), torch.arange(ids.shape[1])[None], mask)
        scores = model.decoder.logits(hidden[0, -1]).log_softmax(-1)
        forbidden = scores.clone()
        forbidden[list(banned_tokens(chosen, guard.ngram_size, guard.ngram_window) - allowed)] = -math.inf
        chosen.append(int(forbidden.argmax()))
        logs.append(float(scores[chosen[-1]]))
    return chosen, logs


# --- twins


def test_batched_is_single_is_uncached(model: OCR) -> None:
    together = run(Engine(model, TOKENIZER, 8), pages())
    assert len(together) == len(pages())
    for request in pages():
        batched, single = together[request.key], alone(model, request)
        ids, logs = slow_twin(model, request)
        assert batched.ids == single.ids == ids
        assert batched.text == single.text == TOKENIZER.decode(ids)
        assert batched.log_probabilities == pytest.approx(logs, abs=1e-4)
        assert batched.stop == single.stop == "length"


@pytest.mark.parametrize("batch_size", [2, 3])
def test_rows_that_join_and_leave(model: OCR, batch_size: int) -> None:
    engine = Engine(model, TOKENIZER, batch_size)
    waiting = pages()
    done: dict[Any, Reading] = {}
    while waiting or engine.busy:
        if waiting:
            engine.submit(waiting.pop())
        for progress in engine.step():
            if progress.reading.stop:
                done[progress.reading.request.key] = progress.reading
    for request in pages():
        assert done[request.key].ids == alone(model, request).ids


def test_modes_in_one_batch(plain: OCR) -> None:
    requests = []
    for seed, (name, width, height) in enumerate(
        (("gundam", 1300, 700), ("tiny", 300, 400), ("small", 640, 480))
    ):
        layout = MODES[name].layout(width, height)
        ids = TOKENIZER.encode_prompt("<image>\nFree OCR.", layout.sequence_length)
        requests.append(Request(ids, views(width, height, MODES[name], seed), 4, key=seed))
    together = run(Engine(plain, TOKENIZER, 3), requests)
    for request in requests:
        assert together[request.key].ids == alone(plain, request).ids


def test_left_padding_is_seen_by_nobody(model: OCR) -> None:
    """The whole sequences in one padded batch choose the tokens that the engine chose."""
    requests = pages()[:3]
    done = run(Engine(model, TOKENIZER, 3), requests)
    rows = [[*request.ids, *done[request.key].ids] for request in requests]
    longest = max(map(len, rows))
    padded = torch.tensor([[TOKENIZER.eos] * (longest - len(row)) + row for row in rows])
    present = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    answers = torch.tensor([longest - len(done[request.key].ids) for request in requests])
    logits = model(padded, [request.views for request in requests], present, answers)
    for row, request in enumerate(requests):
        count = len(done[request.key].ids)
        assert logits[row, -count - 1 : -1].argmax(-1).tolist() == done[request.key].ids


def test_views_are_encoded_some_at_a_time(plain: OCR, monkeypatch: pytest.MonkeyPatch) -> None:
    together: list[int] = []
    encode = OCR.encode

    def counted(model: OCR, group: Sequence[Any]) -> list[Tensor]:
        together.append(sum(1 + (0 if one.tiles is None else len(one.tiles)) for one in group))
        return encode(model, group)

    monkeypatch.setattr(OCR, "encode", counted)
    monkeypatch.setattr(engine_module, "VIEWS_AT_ONCE", 4)
    done = run(Engine(plain, TOKENIZER, 8), pages())
    assert together == [2, 4, 4]
    monkeypatch.undo()
    for request in pages():
        assert done[request.key].ids == alone(plain, request).ids


def test_half_precision(plain: OCR) -> None:
    for dtype in (torch.bfloat16, torch.float16):
        done = run(Engine(network(config()).to(dtype), TOKENIZER, 8), pages())
        assert [len(done[request.key].ids) for request in pages()] == [r.max_tokens for r in pages()]


# --- how a page ends


@pytest.fixture
def ending_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes another token the end."""
    return lambda token: monkeypatch.setattr(TOKENIZER, "eos", token)


def test_the_end(plain: OCR, ending_with: Callable[[int], None]) -> None:
    full = alone(plain, page(seed=1))
    place = next(i for i in range(2, 8) if full.ids[i] not in full.ids[:i])
    ending_with(full.ids[place])
    reading = alone(plain, page(seed=1))
    assert (reading.stop, reading.ids) == ("end", full.ids[:place])
    assert len(reading.log_probabilities) == len(reading.pieces) == place


def test_a_blank_page(plain: OCR, ending_with: Callable[[int], None]) -> None:
    ending_with(alone(plain, page(seed=1)).ids[0])
    reading = alone(plain, page(seed=1))
    assert (reading.stop, reading.ids, reading.text, reading.confidence()) == ("end", [], "", None)


def test_the_limit(plain: OCR) -> None:
    for limit in (1, 2, 7):
        reading = alone(plain, page(max_tokens=limit))
        assert (reading.stop, len(reading.ids)) == ("length", limit)
    with pytest.raises(OptionError, match="max_tokens is 0: choose 1 or more"):
        Engine(plain, TOKENIZER).submit(page(max_tokens=0))


def test_the_room_of_the_network() -> None:
    places = len(page().ids) + 5
    small = network(config(max_position_embeddings=places))
    assert len(alone(small, page(max_tokens=1000)).ids) == 5
    engine = Engine(small, TOKENIZER)
    for room, prompt in ((False, "x" * 40), (True, "Free OCR.")):
        request = page(prompt=prompt)
        if room:
            engine.submit(request)
        else:
            with pytest.raises(
                OptionError, match=f"takes {len(request.ids)} tokens, the network has {places}"
            ):
                engine.submit(request)
    with pytest.raises(OptionError, match="the network has"):
        engine.submit(replace(page(), ids=[*page().ids, 5, 5, 5, 5, 5]))


def test_a_loop_is_cut_after_its_first_round() -> None:
    stuck = network(config())
    stuck.decoder.lm_head.weight.zero_()  # every token is as likely: the first one wins
    reading = alone(stuck, page(max_tokens=5000, ngram_window=0))
    assert (reading.stop, reading.ids) == ("loop", [0])
    assert reading.text == TOKENIZER.decode([0])
    assert reading.confidence() == pytest.approx(1 / VOCABULARY)


def test_an_overflow_ends_the_page() -> None:
    broken = network(config())
    broken.decoder.lm_head.weight.fill_(math.nan)
    for how in ({}, {"temperature": 1.0}):
        reading = alone(broken, page(**how))
        assert (reading.stop, reading.ids, reading.confidence()) == ("error", [], None)


def test_cancelling(plain: OCR) -> None:
    engine = Engine(plain, TOKENIZER, 2)
    for request in pages()[:4]:
        engine.submit(replace(request, max_tokens=10))
    engine.step()
    engine.step()
    assert engine.load == 4
    engine.cancel(1)  # runs
    engine.cancel(3)  # waits
    engine.cancel("nobody")
    assert engine.load == 2
    done = run(engine)
    assert done.keys() == {2, 4}
    for request in (pages()[1], pages()[3]):
        assert done[request.key].ids == alone(plain, replace(request, max_tokens=10)).ids
    engine.submit(page(seed=7))
    engine.step()
    engine.cancel(7)
    assert not engine.busy and engine.step() == []


def test_short_pages_do_not_starve_a_long_one(plain: OCR) -> None:
    engine = Engine(plain, TOKENIZER, 2)
    engine.submit(page(seed=1, max_tokens=10))
    engine.step()
    for steps in range(9):
        engine.submit(page(seed=100 + steps, max_tokens=1))
        assert sorted(progress.reading.request.key for progress in engine.step()) == [1, 100 + steps]
    assert not engine.busy


def test_a_batch_of_none(plain: OCR) -> None:
    with pytest.raises(OptionError, match="batch_size is 0"):
        Engine(plain, TOKENIZER, 0)


# --- drawing


def test_seeds(plain: OCR) -> None:
    """Drawn text depends on the seed, not on the company."""
    first, second = (
        replace(page(max_tokens=8), sampling=Sampling(1.0, seed=seed), key=seed) for seed in (1, 2)
    )
    again = alone(plain, first).ids
    assert alone(plain, first).ids == again != alone(plain, second).ids
    done = run(Engine(plain, TOKENIZER, 4), [page(WIDE, 9), first, second])
    assert (done[1].ids, done[2].ids) == (again, alone(plain, second).ids)
    assert done[9].ids == alone(plain, page(WIDE, 9)).ids, "greedy beside drawn rows"


# --- text and confidence


def test_pieces_make_up_the_text(plain: OCR) -> None:
    engine = Engine(plain, TOKENIZER, 2)
    requests = [replace(page(seed=seed, max_tokens=60), sampling=Sampling(2.0, seed=seed)) for seed in (1, 2)]
    for request in requests:
        engine.submit(request)
    pieces: dict[Any, str] = {1: "", 2: ""}
    done: dict[Any, Reading] = {}
    while engine.busy:
        for progress in engine.step():
            key = progress.reading.request.key
            pieces[key] += progress.piece
            done[key] = progress.reading
    for key, reading in done.items():
        assert pieces[key] == reading.text
        assert TOKENIZER.decode(reading.ids).startswith(reading.text), "but for half a character at the end"


def test_confidence_of_spans(plain: OCR) -> None:
    reading = alone(plain, replace(page(max_tokens=40), sampling=Sampling(1.5, seed=3)))
    spans = [
        (sum(map(len, reading.pieces[:i])), sum(map(len, reading.pieces[: i + 1])), log)
        for i, log in enumerate(reading.log_probabilities)
    ]
    length = len(reading.text)
    assert 0 < reading.confidence() < 1  # type: ignore[operator]
    for start in range(length + 2):
        for end in (start + 1, start + 7, max(length, start + 1), None):
            stop = length + 1 if end is None else end
            # A token without a character of its own writes the beginning of the next one.
            logs = [log for first, last, log in spans if max(last, first + 1) > start and first < stop]
            expected = math.exp(sum(logs) / len(logs)) if logs else None
            assert reading.confidence(start, end) == (None if expected is None else pytest.approx(expected))
    cuts = [(2, 5), (5, 6), (9, length)]
    for start, end in ((0, None), (3, 12), (4, 5)):
        stop = length + 1 if end is None else end
        logs = [
            log
            for first, last, log in spans
            if max(last, first + 1) > start and first < stop and not any(a <= first < b for a, b in cuts)
        ]
        expected = math.exp(sum(logs) / len(logs)) if logs else None
        found = reading.confidence(start, end, cuts)
        assert found == (None if expected is None else pytest.approx(expected))
    assert reading.confidence(without=[(0, length + 1)]) is None


# --- going back

PASSAGE = TOKENIZER.encode(
    "The old man lay quiet in the harbour and waited for his boat to come in from the sea."
)
ENDING = TOKENIZER.encode(" Nobody had seen it since the day before.")


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, ...], Tensor]:
    """A network that reads PASSAGE, goes back to its start unless that is barred, and then reads ENDING.
    What it holds then are its logits by what it has written."""
    seen: dict[tuple[int, ...], Tensor] = {}
    back = [*PASSAGE, *PASSAGE, TOKENIZER.eos]
    on = [*PASSAGE, *ENDING, TOKENIZER.eos]

    def choose(logits: Tensor, histories: Any, *others: Any) -> tuple[Tensor, Tensor]:
        tokens, sure = [], []
        for row, (history, barred) in enumerate(zip(histories, others[-1], strict=True)):
            place = len(history)
            seen[tuple(history)] = logits[row].clone()
            went = place > len(PASSAGE) and history[len(PASSAGE)] == PASSAGE[0]
            leaves = place == len(PASSAGE) and PASSAGE[0] not in barred
            tokens.append((back if went or leaves or place < len(PASSAGE) else on)[place])
            sure.append(0.4 if place == len(PASSAGE) else 0.99)
        return torch.tensor(tokens), torch.tensor(sure).log()

    monkeypatch.setattr(engine_module, "choose", choose)
    return seen


def test_text_is_taken_back_where_the_page_went_back(plain: OCR, lost: dict[tuple[int, ...], Tensor]) -> None:
    """And what follows is what the network says of the text that is left, whoever reads beside it."""
    first, second = page(seed=1, max_tokens=200), page(WIDE, seed=2, max_tokens=200)
    done = run(Engine(plain, TOKENIZER, 2), [replace(first, returns=3), second])
    assert done[1].ids == [*PASSAGE, *ENDING] and done[1].taken_back == 1 and done[1].stop == "end"
    assert done[1].text == TOKENIZER.decode([*PASSAGE, *ENDING]) and len(done[1].pieces) == len(done[1].ids)
    assert done[2].ids == [*PASSAGE, *PASSAGE] and done[2].taken_back == 0, "not asked to"
    for count in (len(PASSAGE), len(PASSAGE) + 1, len(PASSAGE) + len(ENDING)):
        written = [*PASSAGE, *ENDING][:count]
        ids = torch.tensor([[*first.ids, *written]])
        with torch.inference_mode():
            x = plain.embed(ids, plain.encode([first.views]))
            mask = sequence_mask(None, torch.tensor([len(first.ids)]), None, ids.shape[1])
            hidden = plain.decoder(x, torch.arange(ids.shape[1])[None], mask)
            expected = plain.decoder.logits(hidden[0, -1])
        torch.testing.assert_close(lost[tuple(written)], expected, atol=1e-4, rtol=1e-4)


def test_what_was_barred_behind_another_text_may_come_again(
    plain: OCR, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is taken back to its token 9, to 9 again, then to 5, and then goes on."""
    places = iter([9, 9, 5])
    read = [12, 11, 10]  # tokens of the page when that is found

    def place(_: object, ids: Sequence[int], logs: Sequence[float]) -> int | None:
        if read and len(ids) == read[0]:
            read.pop(0)
            return next(places)
        return None

    monkeypatch.setattr(engine_module.Returns, "place", place)
    reading = alone(plain, replace(page(max_tokens=14), returns=9))
    assert reading.taken_back == 3 and list(reading.barred) == [5] and len(reading.ids) == 14
    assert len(reading.barred[5]) == 1 and reading.ids[5] not in reading.barred[5]


def test_a_ring_of_slots_cannot_be_taken_back(lost: dict[tuple[int, ...], Tensor]) -> None:
    model = network(config(sliding_window=4))
    reading = alone(model, replace(page(max_tokens=200), returns=3))
    assert reading.ids == [*PASSAGE, *PASSAGE] and reading.taken_back == 0 and len(lost) > 20


# --- memory

EIGHT_LARGE_PAGES = """
from pathlib import Path
from foveate.config import ClipConfig, DecoderConfig, OCRConfig, SamConfig
from foveate.engine.reader import Options, Reader
from foveate.model.source import ASSETS
from foveate.pages.image import PageImage
from foveate.pages.tokenizer import Tokenizer
from tests.tiny import network, picture

tokenizer = Tokenizer.load(ASSETS / "nano")
sam = SamConfig(width=192, layers=4, heads=3, global_attn_indexes=(2,), downsample_channels=(192, 256),
                window_size=8, neck_channels=128)
clip = ClipConfig(width=256, layers=4, heads=4, mlp_width=1024)
decoder = DecoderConfig(hidden_size=256, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=4,
                        intermediate_size=768, moe_intermediate_size=128, n_routed_experts=8,
                        num_experts_per_tok=2, vocab_size=4928)
reader = Reader(network(OCRConfig(sam, clip, decoder, tokenizer.image)), tokenizer)
images = (PageImage("book", number, picture(2000, 2000, number)) for number in range(8))
pages = [page for _, page in reader.read_pages(images, Options("gundam", max_tokens=2, retries=0))]
assert {page.vision_tokens for page in pages} == {9 * 100 + 256}
status = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_a_full_batch_of_large_pages_stays_small() -> None:
    """Eight pages of nine tiles each, let in together by a network of nano's sizes."""
    run = [sys.executable, "-c", EIGHT_LARGE_PAGES]
    done = subprocess.run(run, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1.5 * 2**20  # KiB
