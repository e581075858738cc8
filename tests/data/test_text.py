"""Text alone, cut to sequences."""

import lzma
import pickle
from pathlib import Path

import pytest

from foveate.data.packing import tokenize
from foveate.data.recipes import nano
from foveate.data.sample import Sample
from foveate.data.text import TextFile, TextMaker, cut, joined, language_of
from foveate.errors import CorruptSource, ModelNotFound, OptionError, SourceNotFound
from foveate.pages.tokenizer import END, Tokenizer

DOCUMENTS = [
    "\n".join(f"Document {n}, line {line}, says a few words more." for line in range(n % 30 + 1))
    for n in range(200)
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(nano())


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "en-test.txt"
    path.write_text("\f".join(DOCUMENTS), encoding="utf-8")
    return path


def samples(maker: TextMaker) -> list[Sample]:
    made = [maker.make(number, 0) for number in range(maker.size)]
    assert all(isinstance(each, Sample) for each in made)
    return [each for each in made if isinstance(each, Sample)]


def test_sequences_are_full(corpus: Path, tokenizer: Tokenizer) -> None:
    made = samples(TextMaker((corpus,), nano(), 512))
    lengths = [len(tokenize(sample, tokenizer)) for sample in made]
    assert lengths == [sample.details["tokens"] for sample in made]
    assert max(lengths) <= 512 and min(lengths[:-1]) > 500
    assert {(sample.task, sample.language, sample.prompt) for sample in made} == {("text", "en", "")}


def test_hardly_anything_is_left_out_or_twice(corpus: Path) -> None:
    made = samples(TextMaker((corpus,), nano(), 512))
    lines = [line for document in DOCUMENTS for line in document.split("\n")]
    found = [line for sample in made for line in sample.answer.replace(END, "\n").split("\n")]
    whole = [line for line in found if line in set(lines)]
    assert 0.85 < len(set(whole)) / len(lines) <= 1 and len(whole) < 1.15 * len(lines)


def test_documents_are_parted_by_the_end_token(corpus: Path, tokenizer: Tokenizer) -> None:
    sample = samples(TextMaker((corpus,), nano(), 512))[1]
    count = sample.details["documents"]
    assert count > 1 and tokenizer.encode(sample.answer).count(tokenizer.eos) == count - 1
    for document in sample.answer.split(END)[1:-1]:
        assert document in DOCUMENTS


def test_a_packed_file_is_the_same_text(corpus: Path, tmp_path: Path) -> None:
    packed = tmp_path / "en-test.txt.xz"
    packed.write_bytes(lzma.compress(corpus.read_bytes()))
    one, other = (samples(TextMaker((path,), nano(), 512)) for path in (corpus, packed))
    assert [a.answer for a in one] == [b.answer for b in other]
    assert other[0].source == "en-test.txt.xz, byte 0"


def test_several_files_one_after_the_other(corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "zh.txt"
    other.write_text("天地玄黄，宇宙洪荒。\n" * 400, encoding="utf-8")
    maker = TextMaker((corpus, other), nano(), 256)
    made = samples(maker)
    languages = [sample.language for sample in made]
    assert languages == sorted(languages) and set(languages) == {"en", "zh"}
    assert all("\ufffd" not in sample.answer for sample in made)
    again = pickle.loads(pickle.dumps(maker))
    assert again == maker and again.make(3, 0).answer == made[3].answer


def test_text_without_lines(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text("é" * 300_000, encoding="utf-8")
    maker = TextMaker((path,), nano(), 64)
    sample = maker.make(maker.size // 2, 0)
    assert isinstance(sample, Sample) and set(sample.answer) == {"é"} and sample.details["tokens"] <= 64


def test_words_of_the_tokenizer_are_taken_out() -> None:
    assert joined(["a<image>b", "<|ref|>c<|/ref|>", " \n", "x < y | z > 1", f"d{END}"]) == (
        f"ab{END}c{END}x < y | z > 1{END}d"
    )


def test_cut_never_goes_over(tokenizer: Tokenizer) -> None:
    text = "Ünïcödé wörds, ﬁne — 漢字 😀 and so on. " * 20
    for tokens in range(1, 120):
        short, count = cut(text, tokens, tokenizer)
        assert text.startswith(short) and count == len(tokenizer.encode(short)) <= tokens
        assert count >= tokens - 6
    assert cut("short", 100, tokenizer)[0] == "short"


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("en.txt.xz", "en"),
        ("de-modern.txt", "de"),
        ("mul-udhr.txt.xz", ""),
        ("corpus.txt", ""),
        ("a.txt", ""),
    ],
)
def test_language_of(name: str, language: str) -> None:
    assert language_of(Path(name)) == language


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    text = "Schöne Grüße aus Köln, sagte das Mädchen.\n" * 400
    for encoding, fine in (("utf-8", True), ("utf-8-sig", True), ("latin-1", False), ("utf-16", False)):
        (path := tmp_path / f"de-{encoding}.txt").write_text(text, encoding=encoding)
        if fine:
            file = TextFile(path)
            assert file.text(0, len(file)) == text
        else:
            with pytest.raises(CorruptSource, match="is not UTF-8 near byte 0: convert it"):
                TextFile(path)


def test_a_slip_now_and_then_is_left_out(tmp_path: Path) -> None:
    (path := tmp_path / "en.txt").write_bytes(b"words " * 9000 + b"\xff" + b"more " * 9000)
    assert TextFile(path).text(53_994, 54_006) == "words more "


def test_mistakes(tmp_path: Path, corpus: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "torn.xz").write_bytes(lzma.compress(b"words " * 1000)[:-20])
    with pytest.raises(SourceNotFound, match="gone.txt cannot be opened"):
        _ = TextMaker((tmp_path / "gone.txt",), nano()).size
    with pytest.raises(CorruptSource, match="empty.txt is empty"):
        _ = TextMaker((tmp_path / "empty.txt",), nano()).size
    with pytest.raises(CorruptSource, match="torn.xz is no whole"):
        _ = TextMaker((tmp_path / "torn.xz",), nano()).size
    with pytest.raises(OptionError, match="choose 16 or more"):
        TextMaker((corpus,), nano(), 3)
    with pytest.raises(ModelNotFound, match="holds no tokenizer.json"):
        _ = TextMaker((corpus,), tmp_path).size


def test_the_released_tokenizer_on_real_text(shared: Path) -> None:
    maker = TextMaker((shared / "corpus" / "es.txt.xz",), shared / "checkpoint")
    tokens = [sample.details["tokens"] for n in (0, 7, 20) if isinstance(sample := maker.make(n, 0), Sample)]
    assert len(tokens) == 3 and all(8180 <= count <= 8192 for count in tokens)
