"""Writes docs/cli.md: what every command says to --help."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from foveate.cli import build_parser

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# The command

Written by `make docs` from the commands' own `--help`; change it there.
"""


def cli_page() -> str:
    """The page: the command itself, then each of its commands."""
    os.environ["COLUMNS"] = "100"  # where argparse looks for the width of the terminal
    sections = with_commands(build_parser())
    return HEAD + "".join(f"\n## {each.prog}\n\n```text\n{each.format_help()}```\n" for each in sections)


def with_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser, and those of its commands and their commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from with_commands(command)


if __name__ == "__main__":
    PAGE.write_text(cli_page(), encoding="utf-8")
