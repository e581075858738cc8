"""Options that several commands share."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foveate.pages.image import Limits


def whole_number(least: int) -> Callable[[str], int]:
    """A parser of whole numbers that are at least so large."""

    def parse(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return number

    parse.__name__ = "whole number"  # argparse names it in its message
    return parse


def temperature(text: str) -> float:
    """A number from 0 on."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return number


def add_input(parser: argparse.ArgumentParser) -> None:
    """The documents, and how their pages are opened."""
    parser.add_argument(
        "input",
        metavar="INPUT",
        nargs="+",
        help="PDF, PNG, JPEG, WebP, TIFF, GIF or BMP; a folder; a pattern in quotes; - for standard input",
    )
    add = parser.add_argument_group("pages").add_argument
    add("--pages", metavar="RANGE", help="such as 1-3,7 or 5- (default: all)")
    add("--dpi", metavar="N", type=whole_number(1), default=144, help="of PDF pages (default: 144)")
    add("--password", metavar="WORD", help="of an encrypted PDF")
    add(
        "--max-pixels",
        metavar="N",
        type=whole_number(1),
        help="refuse larger pictures (default: 200 million)",
    )
    add("--max-bytes", metavar="N", type=whole_number(1), help="refuse larger files (default: 1 GiB)")


def limits_of(options: argparse.Namespace) -> "Limits":
    """The limits that were asked for; the reader's own where none were."""
    from foveate.pages.image import Limits

    asked = {"pixels": options.max_pixels, "bytes": options.max_bytes}
    return Limits(**{name: value for name, value in asked.items() if value is not None})


def add_max_tiles(parser: argparse._ActionsContainer) -> None:
    """How many tiles a page may be cut into."""
    parser.add_argument(
        "--max-tiles", metavar="N", type=whole_number(2), help="of a gundam page (default: 9)"
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """The network, and where it computes."""
    add = parser.add_argument_group("model").add_argument
    add("--model", default="nano", help="nano, a folder, or a name on the Hugging Face hub (default: nano)")
    add("--revision", metavar="R", help="branch, tag or commit of a model on the hub")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default: auto)")
    add("--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default: auto)")
