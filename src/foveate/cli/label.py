"""`foveate data label`: pages without labels become samples where the readings can be believed."""

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.cli import options as shared
from foveate.cli.inputs import STDIN, find_sources
from foveate.cli.problems import Problems
from foveate.errors import FoveateError, InputError, OptionError

if TYPE_CHECKING:
    from PIL import Image

    from foveate.data.annotator import Annotator
    from foveate.data.flywheel import Flywheel, Label, Labeller
    from foveate.data.flywheel import Page as Found
    from foveate.data.shards import Outcome
    from foveate.engine.reader import Reader
    from foveate.pages.image import Limits

RAPIDOCR = "rapidocr"
# Their answers are whole pages; to locate or describe something is no reading that two could agree on.
PROMPTS = ("markdown", "ocr", "text", "figure")


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to the others."""
    parser = actions.add_parser(
        "label",
        help="label pages with a model and keep what can be believed",
        description="Reads pages with a model and keeps as samples what a second one agrees on, or without a "
        "second one what the model is confident about. Prints how often each reason was given. The same "
        "command again goes on where the last one was stopped.",
    )
    shared.add_input(parser)
    add = parser.add_argument_group("labels").add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="folder of the shards")
    add("--prompt", choices=PROMPTS, default="markdown", help="(default: markdown)")
    add("--mode", metavar="NAME", default="auto", help="as of foveate read (default: auto)")
    add("--model", default="nano", help="whose words are kept (default: nano)")
    add("--second", metavar="MODEL", help="a model that has to agree, or rapidocr")
    add("--second-mode", metavar="NAME", help="that the second reads in (default: as the first)")
    add("--agreement", metavar="A", type=float, default=0.95, help="of two, 0 to 1 (default: 0.95)")
    add("--confidence", metavar="C", type=float, default=0.9, help="of one, 0 to 1 (default: 0.9)")
    add("--language", metavar="TAG", default="", help="of the pages, to be noted")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default: auto)")
    add(
        "--batch-size", metavar="N", type=shared.whole_number(1), default=8, help="pages at once (default: 8)"
    )
    add("--shard-size", metavar="N", type=shared.whole_number(1), default=1000, help="pages (default: 1000)")
    add("--format", choices=("png", "jpeg", "webp"), default="png", help="of pictures (default: png)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Labels every page and prints the report. Returns the exit code."""
    from foveate.data.flywheel import Flywheel, Rules, report
    from foveate.data.making import write_shards
    from foveate.data.shards import Manifest
    from foveate.pages.mode import choose_mode

    for mode in filter(None, (options.mode, options.second_mode)):
        choose_mode(mode, 1, 1)
    if options.second_mode and not options.second:
        raise OptionError("--second-mode goes with --second: name the model that has to agree")
    rules = Rules(options.agreement, options.confidence)
    problems = Problems()
    pages = list(_pages(options, problems))
    wanted = Manifest(_recipe(options, pages), len(pages), options.shard_size, options.format)
    flywheel = Flywheel(_readers(options), rules, options.prompt, options.language, options.batch_size)
    write_shards(options.out, lambda places: _outcomes(flywheel, pages, places, options), wanted)
    if pages:
        print(json.dumps(report(options.out), indent=1, ensure_ascii=False))
    return problems.exit_code


@dataclass(frozen=True)
class ModelLabeller:
    """A model as a labeller."""

    reader: "Reader"
    name: str
    mode: str

    def label(self, images: "Sequence[Image.Image]", prompt: str) -> "list[Label]":
        from foveate.data.flywheel import Label
        from foveate.engine.reader import Options
        from foveate.pages.image import PageImage

        pages = (PageImage(self.name, number, image) for number, image in enumerate(images))
        read = self.reader.read_pages(pages, Options(self.mode, prompt), len(images))
        in_order = sorted(read, key=lambda pair: pair[0].number)  # they come as they are done
        return [Label(page.raw, page.confidence, page.stop) for _, page in in_order]


@dataclass(frozen=True)
class AnnotatorLabeller:
    """An OCR engine as a labeller: it says the lines of a page, without layout."""

    annotator: "Annotator"

    @property
    def name(self) -> str:
        return self.annotator.name

    def label(self, images: "Sequence[Image.Image]", prompt: str) -> "list[Label]":
        from foveate.data.flywheel import Label

        pages = (self.annotator.annotate(image) for image in images)
        return [Label("\n".join(region.text for region in regions)) for regions in pages]


def _readers(options: argparse.Namespace) -> "list[Labeller]":
    """The model, and the second one; the same model is loaded once."""
    first = load_reader(options.model, options.device)
    labellers: list[Labeller] = [ModelLabeller(first, options.model, options.mode)]
    if options.second == RAPIDOCR:
        from foveate.data.annotator import RapidAnnotator

        labellers.append(AnnotatorLabeller(RapidAnnotator()))
    elif options.second is not None:
        same = options.second == options.model
        second = first if same else load_reader(options.second, options.device)
        labellers.append(ModelLabeller(second, options.second, options.second_mode or options.mode))
    return labellers


def load_reader(model: str, device: str) -> "Reader":
    """A reader with a model."""
    from foveate.engine.reader import Reader

    return Reader.load(model=model, device=device)


def _pages(options: argparse.Namespace, problems: Problems) -> Iterator[tuple[Path, int]]:
    """Every page that there is, none drawn yet."""
    from foveate.pages.source import count_pages, parse_page_range

    limits = shared.limits_of(options)
    for source in find_sources(options.input, problems):
        with problems.catching():
            if source == STDIN:
                raise InputError("-: labelling may read a page twice: name files")
            count = count_pages(source, password=options.password, limits=limits)
            numbers = parse_page_range(options.pages, count) if options.pages else range(1, count + 1)
            yield from ((Path(source), number) for number in numbers)


def _outcomes(
    flywheel: "Flywheel", pages: list[tuple[Path, int]], places: range, options: argparse.Namespace
) -> "Iterator[Outcome]":
    """What becomes of the pages of one shard."""
    limits = shared.limits_of(options)
    found = (_drawn(*pages[place], options, limits) for place in places)
    return flywheel.outcomes(found, places.start)


def _drawn(path: Path, number: int, options: argparse.Namespace, limits: "Limits") -> "Found":
    """A page with its source, or why it cannot be seen."""
    from foveate.pages.source import open_pages

    source = f"{path.name}, page {number}"
    try:
        (page,) = open_pages(
            path, pages=str(number), dpi=options.dpi, password=options.password, limits=limits
        )
    except FoveateError as problem:
        return source, str(problem)
    return source, page.image


def _recipe(options: argparse.Namespace, pages: list[tuple[Path, int]]) -> dict[str, Any]:
    """What the labels depend on."""
    names = ("model", "second", "mode", "second_mode", "prompt", "agreement", "confidence", "language", "dpi")
    listed = "\n".join(f"{path.name} {path.stat().st_size} {number}" for path, number in pages)
    digest = hashlib.sha256(listed.encode("utf-8", "backslashreplace")).hexdigest()
    return {"name": "label", **{name: getattr(options, name) for name in names}, "pages": digest}
