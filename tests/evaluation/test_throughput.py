"""Speed and memory."""

import sys
from types import SimpleNamespace

import pytest

from foveate.evaluation import throughput
from foveate.evaluation.readers import Reading
from foveate.evaluation.throughput import hardware, measure, peak_memory


def test_speed_of_what_was_read() -> None:
    readings = [
        Reading("one two", 1.5, vision_tokens=100),
        Reading("three", 0.5, vision_tokens=64),
        Reading("", 9.0, stop="error"),
    ]
    found = measure(readings, lambda text: len(text.split()))
    assert (found.pages, found.seconds, found.characters) == (2, 2.0, 12)
    assert found.pages_per_second == 1 and found.text_tokens_per_second == 1.5
    assert found.vision_tokens == 164 and found.to_dict()["memory"]["process"] > 0


def test_texts_that_took_no_time_have_no_speed() -> None:
    found = measure([Reading("a", 0.0)])
    assert found.pages_per_second is None and found.text_tokens is None and found.vision_tokens is None
    assert measure([]).pages == 0


def test_the_peak_is_in_bytes_and_never_falls() -> None:
    before = peak_memory().process
    block = bytearray(60 << 20)
    block[::4096] = b"x" * len(block[::4096])
    after = peak_memory().process
    if before is None or after is None:
        pytest.skip("this system does not tell")
    assert after >= before and 20 << 20 < after < 1 << 42
    del block
    assert (peak_memory().process or 0) >= after


def test_a_gpu_tells_its_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(
        is_available=lambda: True, max_memory_allocated=lambda: 123, get_device_name=lambda: "a GPU"
    )
    fake = SimpleNamespace(cuda=cuda, get_num_threads=lambda: 3)
    monkeypatch.setitem(sys.modules, "torch", fake)
    assert peak_memory().cuda == 123
    assert hardware()["gpu"] == "a GPU" and hardware()["torch_threads"] == 3


def test_without_pytorch_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert peak_memory().cuda is None and hardware()["gpu"] is None
    assert "torch" not in vars(throughput)


def test_the_machine_says_what_it_is() -> None:
    found = hardware()
    assert found["cores"] >= 1 and found["system"] and (found["memory"] is None or found["memory"] > 1 << 28)
