"""Text tokens without the model's tokenizer."""

import lzma
from pathlib import Path

import pytest

from foveate.errors import ConfigError, ModelNotFound
from foveate.pages.text_tokens import counter, estimate


def test_small_texts() -> None:
    assert estimate("") == 0
    assert estimate("one two three") == 3
    assert estimate("a\n\nb") == 3
    assert estimate("internationalisation") > 2
    assert estimate("日本語") == 3


@pytest.mark.parametrize(
    ("name", "off"), [("en", 0.15), ("fr", 0.15), ("ru", 0.15), ("zh", 0.15), ("de", 0.25)]
)
def test_near_the_released_tokenizer(name: str, off: float, shared: Path) -> None:
    with lzma.open(shared / "corpus" / f"{name}.txt.xz", "rt", encoding="utf-8") as file:
        text = file.read(300_000)[-50_000:]
    counted = counter(shared / "checkpoint")(text)
    assert abs(estimate(text) / counted - 1) < off


def test_files_that_are_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        counter(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError):
        counter(tmp_path)
