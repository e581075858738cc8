"""`foveate eval report`: runs as a page with plots."""

import argparse
from pathlib import Path


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to the others."""
    parser = actions.add_parser(
        "report",
        help="runs as a page with plots",
        description="Puts the results of any runs on one HTML page that needs nothing else: tables, plots, "
        "heat maps, speed and memory.",
    )
    add = parser.add_argument
    add("runs", metavar="RUN", type=Path, nargs="+", help="files of results")
    add("--out", metavar="FILE", type=Path, required=True, help="the page (.html)")
    add("--title", metavar="TEXT", default="Readers measured", help="of the page")
    add("--figures", metavar="DIR", type=Path, help="also each plot as PNG, and all numbers as CSV")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the page and prints where it is. Returns the exit code."""
    from foveate.cli.outputs import write_whole
    from foveate.evaluation import report
    from foveate.evaluation.run import load_run

    runs = [load_run(path) for path in options.runs]
    page = report.html(runs, options.title)
    write_whole(options.out, page.encode("utf-8", "xmlcharrefreplace"))
    if options.figures is not None:
        report.write_figures(runs, options.figures)
    print(options.out)
    return 0
