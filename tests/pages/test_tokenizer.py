"""Text to ids and back with the embedded tokenizer."""

import json
from pathlib import Path

import pytest

import foveate
from foveate.errors import ConfigError, ModelNotFound
from foveate.pages.prompts import IMAGE, PROMPTS
from foveate.pages.tokenizer import BEGIN, END, TOKENIZER_NAME, Tokenizer

FOLDER = Path(foveate.__file__).parent / "assets" / "nano"
TEXTS = [
    "Abstract\n\nWe present 3,141 results — “quoted”, 41.20 €.",
    "  leading and trailing spaces  \n\n\n\tand a tab",
    "深度求索 光学压缩 ｜ 漢字",
    "🙂👩‍👩‍👧 ẹ́ \U0001f1e9\U0001f1ea",
    "<table><tr><td>1</td><td>½</td></tr></table>",
    "<|ref|>title<|/ref|><|det|>[[12, 34, 999, 0]]<|/det|>\n# Größe",
    "\\[ \\frac{a}{b} \\]",
    "",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(FOLDER)


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back(text: str, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= number < len(tokenizer) for number in ids)


@pytest.mark.parametrize("text", TEXTS)
def test_a_stream_says_what_decode_says(text: str, tokenizer: Tokenizer) -> None:
    ids, stream = tokenizer.encode(text), tokenizer.stream()
    pieces = [stream.step(number) for number in ids]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_of_several_tokens_appears_with_its_last_one(tokenizer: Tokenizer) -> None:
    ids, stream = tokenizer.encode("𝔛"), tokenizer.stream()
    assert len(ids) > 1
    assert [stream.step(number) for number in ids] == [""] * (len(ids) - 1) + ["𝔛"]


def test_streams_do_not_disturb_one_another(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("漢字")
    first, second = tokenizer.stream(), tokenizer.stream()
    texts = ["", ""]
    for number in ids:
        texts[0] += first.step(number)
        texts[1] += second.step(number)
    assert texts == ["漢字", "漢字"]


def test_special_tokens_are_one_id_and_are_kept(tokenizer: Tokenizer) -> None:
    for token in (
        BEGIN,
        END,
        IMAGE,
        "<|ref|>",
        "<|/ref|>",
        "<|det|>",
        "<|/det|>",
        "<|grounding|>",
        "<td>",
        "</td>",
    ):
        assert tokenizer.encode(token) == [tokenizer.id_of(token)]
        assert tokenizer.decode([tokenizer.id_of(token)]) == token and token in tokenizer
    assert len({tokenizer.bos, tokenizer.eos, tokenizer.image}) == 3


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_has_its_page_in_its_place(name: str, tokenizer: Tokenizer) -> None:
    prompt = PROMPTS[name].format(reference="the stamp")
    ids = tokenizer.encode_prompt(prompt, 73)
    assert ids[0] == tokenizer.bos and ids[1:74] == [tokenizer.image] * 73
    assert tokenizer.decode(ids[74:]) == prompt.removeprefix(IMAGE)
    assert tokenizer.image not in ids[74:] and tokenizer.eos not in ids


def test_a_prompt_may_have_its_page_anywhere_or_nowhere(tokenizer: Tokenizer) -> None:
    before, after = tokenizer.encode("Read this: "), tokenizer.encode(" and that.")
    ids = tokenizer.encode_prompt("Read this: <image> and that.", 5)
    assert ids == [tokenizer.bos, *before, *[tokenizer.image] * 5, *after]
    assert tokenizer.encode_prompt("No page.", 5) == [tokenizer.bos, *tokenizer.encode("No page.")]


def test_the_released_tokenizer_has_the_same_special_tokens(shared: Path, tokenizer: Tokenizer) -> None:
    released = Tokenizer.load(shared / "checkpoint")
    assert (released.bos, released.eos, released.image, len(released)) == (0, 1, 128815, 128827)
    added = json.loads((FOLDER / TOKENIZER_NAME).read_text(encoding="utf-8"))["added_tokens"]
    assert all(token["content"] in released for token in added)


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=TOKENIZER_NAME):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_broken_tokenizer_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / TOKENIZER_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match="is not a tokenizer"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_of_another_network_is_refused(tmp_path: Path) -> None:
    values = json.loads((FOLDER / TOKENIZER_NAME).read_text(encoding="utf-8"))
    values["added_tokens"] = [token for token in values["added_tokens"] if token["content"] != IMAGE]
    (tmp_path / TOKENIZER_NAME).write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ConfigError, match="no token '<image>'"):
        Tokenizer.load(tmp_path)
