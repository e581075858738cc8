"""`foveate data`: training samples made, shown, counted and checked."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.cli import label
from foveate.cli import options as shared
from foveate.cli.problems import FAILED, Problems
from foveate.errors import OptionError, SourceNotFound

if TYPE_CHECKING:
    from foveate.data.recipes import Sources
    from foveate.data.shards import Manifest
    from foveate.pages.tokenizer import Tokenizer

Commands = argparse._SubParsersAction  # of argparse, which gives it no other name
TOKENIZER = "folder of a checkpoint whose tokenizer counts (default: that of nano)"


def add_parser(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "data",
        help="make and look at training samples",
        description="Makes training samples into shards of Parquet, and says what shards hold.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for add in (_add_make, _add_list, _add_show, _add_stats, _add_check, label.add_parser):
        add(actions)


def _add_make(actions: "Commands[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "make",
        help="fill a folder with shards",
        description="Makes the samples of a recipe. What is made depends on the recipe, its sources and the "
        "seed alone. The same command again goes on where the last one was stopped.",
    )
    add = parser.add_argument
    add("recipe", metavar="RECIPE", help="see foveate data list")
    add("--out", metavar="DIR", type=Path, required=True, help="folder of the shards")
    count = "samples (default: each that there is, or 1000 of a recipe without end)"
    add("--count", metavar="N", type=shared.whole_number(1), help=count)
    add("--seed", metavar="N", type=shared.whole_number(0), default=0, help="(default: 0)")
    add("--workers", metavar="N", type=shared.whole_number(1), help="processes (default: one a core)")
    add("--quiet", action="store_true", help="no progress and no summary, only problems")
    shards = parser.add_argument_group("shards").add_argument
    shards("--shard-size", metavar="N", type=shared.whole_number(1), default=1000, help="(default: 1000)")
    shards("--format", choices=("png", "jpeg", "webp"), default="png", help="of pictures (default: png)")
    _add_sources(parser.add_argument_group("sources").add_argument)
    parser.set_defaults(run=make)


def _add_sources(add: Callable[..., object]) -> None:
    text = "text, plain or .xz, its documents separated by form feeds"
    notes = "of --images: COCO's captions or instances, or RefCOCO's references, as JSON"
    add("--text", metavar="FILE", type=Path, nargs="+", default=[], help=text)
    add("--pdfs", metavar="DIR", type=Path, help="PDF files")
    add("--docx", metavar="DIR", type=Path, help="Word files")
    add("--photos", metavar="DIR", type=Path, help="photographs with text in them")
    add("--labelled", metavar="DIR", type=Path, help="shards of foveate data label")
    add("--smiles", metavar="FILE", type=Path, help="molecules or reactions, one a line")
    add("--images", metavar="DIR", type=Path, help="photographs that the annotations are about")
    add("--annotations", "--coco", metavar="FILE", type=Path, nargs="+", default=[], help=notes)
    add("--tokenizer", metavar="DIR", type=Path, help="of text alone (default: that of nano)")
    tokens = "of a sample of text alone (default: 8192)"
    add("--tokens", metavar="N", type=shared.whole_number(16), default=8192, help=tokens)


def _add_list(actions: "Commands[argparse.ArgumentParser]") -> None:
    about = "Lists the recipes and the kinds that they are made of, and what each needs."
    parser = actions.add_parser("list", help="recipes and kinds", description=about)
    parser.set_defaults(run=list_recipes)


def _add_show(actions: "Commands[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "show",
        help="one sample as a picture",
        description="Writes a sample as a picture: what is seen with its boxes, and what is said beside it.",
    )
    add = parser.add_argument
    add("shard", metavar="SHARD", type=Path, help="a .parquet file, or a folder of them for its first")
    add("--index", metavar="N", type=shared.whole_number(0), default=0, help="in the shard (default: 0)")
    add("--out", metavar="FILE", type=Path, help="(default: the shard's name and the index, .png)")
    parser.set_defaults(run=show)


def _add_stats(actions: "Commands[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "stats",
        help="count what shards hold",
        description="Counts samples by kind and language, tokens, sizes of pictures, and what was skipped.",
    )
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="a folder of shards, or one shard")
    add("--out", metavar="FILE", type=Path, help="also draw them, with a histogram of compression (PNG)")
    add("--json", action="store_true", help="one JSON object instead of the table")
    add("--mode", metavar="NAME", default="auto", help="that vision tokens are counted in (default: auto)")
    add("--tokenizer", metavar="DIR", type=Path, help=TOKENIZER)
    parser.set_defaults(run=stats)


def _add_check(actions: "Commands[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "check",
        help="look for anything wrong",
        description="Checks that a folder is whole and as its checksums say, that pictures decode, boxes lie "
        "in them, prompts are the released ones and markup parses. Exit code 2 when anything is wrong.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="a folder of shards, or one shard")
    parser.add_argument("--quiet", action="store_true", help="no progress, only problems")
    parser.set_defaults(run=check)


def make(options: argparse.Namespace) -> int:
    """Fills the folder. Returns the exit code."""
    from foveate.data import recipes
    from foveate.data.making import make_shards
    from foveate.data.shards import Manifest, read_note

    sources = _sources(options)
    plan = recipes.plan(options.recipe, sources, options.seed, options.count)
    count = options.count or plan.size or recipes.COUNT
    recipe = {"name": options.recipe, "sources": sources.describe(), **plan.describe()}
    wanted = Manifest(recipe, count, options.shard_size, options.format)
    with _bar(count, "sample", options.quiet) as progress:
        made = make_shards(options.out, plan, wanted, options.workers or _cores(), progress)
    if not made.rows:
        note = read_note(options.out / made.shards[0].name)
        reasons = {miss["reason"]: None for miss in note["skipped"]}
        raise OptionError(
            f"{options.out}: no sample could be made of these sources ({'; '.join(list(reasons)[:3])})"
        )
    if not options.quiet:
        _, absent = recipes.kinds_of(options.recipe, sources)
        print(_summary(made, options.out, absent), file=sys.stderr)
    return 0


def _summary(made: "Manifest", folder: Path, absent: list[str]) -> str:
    skipped = sum(shard.skipped for shard in made.shards)
    size = sum(shard.bytes for shard in made.shards)
    line = f"{folder}: {made.rows:,} samples in {len(made.shards):,} shards, {size / 1e6:,.1f} MB"
    notes = [f"{skipped:,} skipped"] if skipped else []
    notes += [f"without their sources: {', '.join(absent)}"] if absent else []
    return f"{line} ({'; '.join(notes)})" if notes else line


def _sources(options: argparse.Namespace) -> "Sources":
    from foveate.data.recipes import Sources

    return Sources(
        text=tuple(options.text),
        pdfs=options.pdfs,
        docx=options.docx,
        photos=options.photos,
        labelled=options.labelled,
        smiles=options.smiles,
        images=options.images,
        annotations=tuple(options.annotations),
        tokenizer=options.tokenizer,
        tokens=options.tokens,
    )


def list_recipes(options: argparse.Namespace) -> int:
    """Prints two lists. Returns the exit code."""
    from foveate.data.recipes import KINDS, OPTIONS, RECIPES

    print("recipes")
    for name, recipe in RECIPES.items():
        print(f"  {name:<12} {recipe.what}")
    print("kinds")
    for name, kind in KINDS.items():
        needs = [OPTIONS[need] for need in kind.needs] + [f"[{OPTIONS[take]}]" for take in kind.takes]
        print(f"  {name:<12} {kind.task:<7} {kind.what:<46} {' '.join(needs)}".rstrip())
    return 0


def show(options: argparse.Namespace) -> int:
    """Writes the picture and prints where it is. Returns the exit code."""
    from foveate.cli.outputs import write_whole
    from foveate.data.schema import from_row
    from foveate.data.shards import read_row, shard_files
    from foveate.data.show import picture

    shard = shard_files(options.shard)[0]
    sample = from_row(read_row(shard, options.index))
    target = options.out or Path(f"{shard.stem}-{options.index}.png")
    picture(sample).save(content := BytesIO(), "PNG")
    write_whole(target, content.getvalue())
    print(target)
    return 0


def stats(options: argparse.Namespace) -> int:
    """Prints the table, and draws. Returns the exit code."""
    from foveate.cli.outputs import write_whole
    from foveate.data.stats import chart, measure, table
    from foveate.pages.mode import choose_mode

    choose_mode(options.mode, 1, 1)  # complains before anything is read
    found = measure(options.folder, _tokenizer(options.tokenizer), options.mode)
    print(json.dumps(found.to_dict(), ensure_ascii=False) if options.json else "\n".join(table(found)))
    if options.out is not None:
        write_whole(options.out, chart(found))
    return 0


def check(options: argparse.Namespace) -> int:
    """Reports what is wrong. Returns the exit code."""
    from foveate.data.check import check_folder

    if not options.folder.exists():
        raise SourceNotFound(f"{options.folder}: no such folder or shard: check the path")
    problems, done = Problems(), 0
    with _bar(None, "sample", options.quiet) as progress:

        def tick() -> None:
            nonlocal done
            progress(done := done + 1)

        for problem in check_folder(options.folder, tick):
            problems.add(problem)
    if not problems.exit_code and not options.quiet:
        print(f"{options.folder}: {done:,} samples, nothing wrong")
    return FAILED if problems.exit_code else 0


def _tokenizer(folder: Path | None) -> "Tokenizer":
    from foveate.data.recipes import nano
    from foveate.pages.tokenizer import Tokenizer

    return Tokenizer.load(folder or nano())


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _bar(total: int | None, unit: str, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; what it gives is told how much is done."""
    from tqdm import tqdm

    shown = sys.stderr.isatty() and not quiet
    with tqdm(total=total, unit=unit, disable=not shown, leave=False, file=sys.stderr) as bar:

        def progress(done: int) -> None:
            bar.update(done - bar.n)

        yield progress
