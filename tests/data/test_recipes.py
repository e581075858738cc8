"""Recipes: what they make of which sources."""

from pathlib import Path

import pytest

from foveate.data import recipes
from foveate.data.mixture import Each, Mixture
from foveate.data.recipes import KINDS, OPTIONS, RECIPES, Sources, kinds_of, missing, plan, shares
from foveate.data.sample import TASKS, Sample
from foveate.errors import OptionError, SourceNotFound


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "en.txt"
    path.write_text("Plain words, line after line.\n" * 3000)
    return path


def test_every_name_in_a_recipe_is_a_kind() -> None:
    assert all(set(recipe.kinds) <= set(KINDS) for recipe in RECIPES.values())
    assert {kind.task for kind in KINDS.values()} == set(TASKS)
    assert all(need in OPTIONS for kind in KINDS.values() for need in (*kind.needs, *kind.takes))


def test_the_paper_s_shares() -> None:
    every = shares(list(KINDS))
    of_task = {task: sum(every[name] for name, kind in KINDS.items() if kind.task == task) for task in TASKS}
    assert of_task["vision"] == pytest.approx(0.2) and of_task["text"] == pytest.approx(0.1)
    assert of_task["ocr1"] + of_task["ocr2"] == pytest.approx(0.7)
    assert of_task["ocr1"] / of_task["ocr2"] == pytest.approx(53 / 16)
    assert every["chart"] == pytest.approx(10 * every["geometry"]) == pytest.approx(2 * every["chemistry"])


def test_what_is_absent_leaves_its_share_to_its_nearest() -> None:
    some = shares(["chart", "chemistry", "geometry", "shapes", "text"])
    assert some["shapes"] == pytest.approx(0.2) and some["text"] == pytest.approx(0.1)
    assert some["chart"] == pytest.approx(0.7 * 10 / 16)
    assert shares(["rendered", "chart"])["rendered"] == pytest.approx(0.7 * 53 / 69)


def test_the_default_takes_what_has_its_sources(corpus: Path) -> None:
    present, absent = kinds_of("default", Sources())
    assert present == ["chart", "chemistry", "geometry", "shapes"]
    assert absent == ["rendered", "pdf", "word", "scene", "scene-text", "labelled", "general", "text"]
    present, _ = kinds_of("default", Sources(text=(corpus,)))
    assert {"rendered", "scene-text", "text"} <= set(present)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rendered", "the recipe rendered needs a source: give --text FILE"),
        ("documents", "the recipe documents needs a source: give --pdfs DIR or --docx DIR"),
        ("vision", "the recipe vision needs a source: give --images DIR and --annotations FILE"),
        ("soup", "'soup' is no recipe: choose from default, "),
    ],
)
def test_a_missing_source_is_one_clear_error(name: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        plan(name, Sources())
    assert str(caught.value).startswith(message)


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    assert missing("general", Sources(images=tmp_path)) == ["annotations"]
    assert kinds_of("documents", Sources(pdfs=tmp_path)) == (["pdf"], ["word"])


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"gone.txt: no such file or folder for --text FILE"):
        plan("text", Sources(text=(tmp_path / "gone.txt",)))


def test_kinds_with_an_end_give_each_sample_once(corpus: Path) -> None:
    sources = Sources(text=(corpus,), tokens=256)
    once, more = plan("text", sources), plan("text", sources, count=1000)
    assert isinstance(once, Each) and isinstance(more, Mixture)
    assert once.size and len({m.sample.answer for p in range(3) if (m := once.make(p)).sample}) >= 1
    endless = plan("shapes", Sources())
    assert isinstance(endless, Mixture) and endless.size is None


def test_seeds_make_other_samples() -> None:
    first, second = (plan("shapes", Sources(), seed).make(0).sample for seed in (0, 1))
    assert isinstance(first, Sample) and isinstance(second, Sample) and first.regions != second.regions


def test_sources_are_described_without_their_folders(corpus: Path) -> None:
    assert Sources(text=(corpus,), pdfs=corpus.parent).describe() == {
        "tokens": 8192,
        "text": [{"name": "en.txt", "bytes": 90_000}],
        "pdfs": [{"name": corpus.parent.name, "bytes": None, "files": 0, "listing": "e3b0c44298fc1c14"}],
    }
    assert Sources().describe() == {}


def test_other_files_in_a_folder_are_other_sources(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (first := tmp_path / "deeper" / "a.PDF").write_bytes(b"1")
    one = Sources(pdfs=tmp_path).describe()
    (tmp_path / "set.parquet").write_bytes(b"a run may fill a folder here")
    assert Sources(pdfs=tmp_path).describe() == one
    first.write_bytes(b"12")
    assert Sources(pdfs=tmp_path).describe() != one
    first.unlink()
    (tmp_path / "b.pdf").write_bytes(b"1")
    assert Sources(pdfs=tmp_path).describe() != one


def test_seeds_that_no_column_holds() -> None:
    for seed in (-1, 1 << 63):
        with pytest.raises(OptionError, match="choose a number from 0 to"):
            plan("shapes", Sources(), seed)


@pytest.mark.parametrize("name", ["charts", "chemistry", "geometry", "ocr2"])
def test_recipes_that_need_nothing(name: str) -> None:
    for library in ("matplotlib", "vl_convert", "rdkit"):
        pytest.importorskip(library)
    sample = plan(name, Sources()).make(0).sample
    assert isinstance(sample, Sample) and sample.task == "ocr2" and sample.image


def test_the_embedded_tokenizer_is_there() -> None:
    assert (recipes.nano() / "tokenizer.json").is_file()
