"""`foveate tokens`: what every mode would cost, next to what other encoders would spend."""

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from foveate.cli import options as shared
from foveate.cli.inputs import find_sources
from foveate.cli.problems import Problems

if TYPE_CHECKING:
    from foveate.pages.image import PageImage
    from foveate.pages.mode import Layout


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "tokens",
        help="what each mode would cost, without reading",
        description="Says how many vision tokens each page would cost in every mode, without running the "
        "network, and what other encoders would spend on the same page by their own published rules.",
    )
    shared.add_input(parser)
    shared.add_max_tiles(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a page, a line each")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints a table a page. Returns the exit code."""
    from foveate.pages.mode import get_mode
    from foveate.pages.source import open_pages

    get_mode("gundam", options.max_tiles)  # complains before any page is drawn
    limits, problems = shared.limits_of(options), Problems()
    for source in find_sources(options.input, problems):
        with problems.catching():
            for page in open_pages(
                source, pages=options.pages, dpi=options.dpi, password=options.password, limits=limits
            ):
                costs = page_costs(page, options.max_tiles)
                print(json.dumps(costs) if options.json else "\n".join(_table(costs)) + "\n")
    return problems.exit_code


def page_costs(page: "PageImage", max_tiles: int | None = None) -> dict[str, Any]:
    """One page's costs as JSON values."""
    from foveate.pages.mode import MODES, choose_mode, get_mode
    from foveate.pages.token_costs import other_encoders

    width, height = page.image.size
    layouts = [get_mode(name, max_tiles).layout(width, height) for name in MODES]
    return {
        "source": page.source,
        "page": page.number,
        "width": width,
        "height": height,
        "auto": choose_mode("auto", width, height).name,
        "modes": [_mode_cost(layout) for layout in layouts],
        "others": [vars(cost) for cost in other_encoders(width, height)],
    }


def _mode_cost(layout: "Layout") -> dict[str, Any]:
    return {
        "mode": layout.mode,
        "vision_tokens": layout.vision_tokens,
        "valid_tokens": layout.valid_tokens,
        "sequence_length": layout.sequence_length,
        "views": _views(layout),
    }


def _views(layout: "Layout") -> str:
    how = "resized" if layout.resized else "padded"
    columns, rows = layout.grid
    tiles = f", {columns} x {rows} tiles of {layout.tile}" if layout.tiles else ""
    return f"{layout.side} x {layout.side} {how}{tiles}"


def _table(costs: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{costs['source']}, page {costs['page']}: {costs['width']} x {costs['height']} pixels, "
        f"auto takes {costs['auto']}"
    )
    yield f"  {'mode':<12}{'tokens':>7}{'valid':>8}{'sequence':>10}  views"
    for cost in costs["modes"]:
        yield (
            f"  {cost['mode']:<12}{cost['vision_tokens']:>7,}{cost['valid_tokens']:>8,}"
            f"{cost['sequence_length']:>10,}  {cost['views']}"
        )
    yield f"  {'elsewhere':<12}{'tokens':>7}{'':>20}by the rule of"
    for cost in costs["others"]:
        tokens = "-" if cost["tokens"] is None else f"{cost['tokens']:,}"
        yield f"  {cost['encoder']:<12}{tokens:>7}{'':>20}{cost['how']} ({cost['source']})"
