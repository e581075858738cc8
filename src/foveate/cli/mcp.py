"""`foveate mcp`: tools for agents."""

import argparse
from pathlib import Path

from foveate.cli import options as shared
from foveate.cli.read import load_reader


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "mcp",
        help="serve tools to agents (Model Context Protocol)",
        description="Serves the tool read, and with --store also remember and recall, to an agent over "
        "standard input and output. Only files below the folders that are named can be read.",
    )
    folder = "a folder that the agent may read from; none: it sends content alone"
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="*", help=folder)
    add, number = parser.add_argument, shared.whole_number(1)
    add(
        "--store", metavar="DIR", type=Path, help="an optical memory for remember and recall; made if need be"
    )
    add("--max-pages", metavar="N", type=number, default=20, help="read in one call (default: 20)")
    add("--max-bytes", metavar="N", type=number, default=64 << 20, help="of one file (default: 64 MiB)")
    add("--dpi", metavar="N", type=number, default=144, help="of PDF pages (default: 144)")
    shared.add_model(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves until standard input ends. Returns the exit code."""
    from foveate.serving.mcp import Bounds, Desk, create_server

    bounds = Bounds(options.max_pages, options.max_bytes, dpi=options.dpi)
    desk = Desk(lambda: load_reader(options), options.folder, bounds)
    memory = None
    if options.store is not None:
        from foveate.memory import OpticalMemory

        memory = OpticalMemory(options.store, lambda: desk.reader)
    create_server(desk, memory).run()
    return 0
