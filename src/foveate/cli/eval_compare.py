"""`foveate eval compare`: two runs on the same pages."""

import argparse
from pathlib import Path

from foveate.cli import options as shared


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to the others."""
    parser = actions.add_parser(
        "compare",
        help="two runs, page against page",
        description="Says how far two runs on the same pages are apart, with the interval of a paired "
        "bootstrap, and shows the pages on which they differ most.",
    )
    add = parser.add_argument
    add("first", metavar="A", type=Path, help="a file of results")
    add("second", metavar="B", type=Path, help="another, of the same pages")
    add("--worst", metavar="N", type=shared.whole_number(0), default=5, help="pages shown (default: 5)")
    add("--html", metavar="FILE", type=Path, help="also as a page, with the pictures")
    add("--json", metavar="FILE", type=Path, help="also as JSON")
    add("--seed", metavar="N", type=shared.whole_number(0), default=0, help="of the bootstrap (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the comparison. Returns the exit code."""
    from foveate.cli.outputs import write_whole
    from foveate.evaluation import compare, report
    from foveate.evaluation.run import load_run, write_json

    first, second = load_run(options.first), load_run(options.second)
    found = compare.compare(first, second, options.seed)
    print(compare.as_text(found, options.worst))
    if options.json is not None:
        write_json(options.json, found.to_dict())
    if options.html is not None:
        title = f"{first.name} and {second.name}"
        page = report.html([first, second], title, found)
        write_whole(options.html, page.encode("utf-8", "xmlcharrefreplace"))
    return 0
