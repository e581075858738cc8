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


# Tokens that the released tokenizer of ../shared/checkpoint counts in characters 250,000 to 300,000.
COUNTED = {"en": 12421, "fr": 15356, "de": 15302, "ru": 17776, "zh": 45888, "ja": 36596}


@pytest.mark.parametrize(("name", "counted"), COUNTED.items())
def test_near_the_released_tokenizer(name: str, counted: int, shared: Path) -> None:
    with lzma.open(shared / "corpus" / f"{name}.txt.xz", "rt", encoding="utf-8") as file:
        text = file.read(300_000)[-50_000:]
    assert -0.25 < estimate(text) / counted - 1 < 0.15


def test_files_that_are_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        counter(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError):
        counter(tmp_path)
