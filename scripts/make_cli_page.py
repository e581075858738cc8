"""Writes docs/cli.md: what every command says to --help."""

import argparse
import os
from pathlib import Path

from foveate.cli import build_parser

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# The command

Written by `make docs` from the commands' own `--help`; change it there.
"""


def cli_page() -> str:
    """The page: the command itself, then each of its commands."""
    os.environ["COLUMNS"] = "100"  # where argparse looks for the width of the terminal
    parser = build_parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    sections = [parser, *commands.choices.values()]
    return HEAD + "".join(f"\n## {each.prog}\n\n```text\n{each.format_help()}```\n" for each in sections)


if __name__ == "__main__":
    PAGE.write_text(cli_page(), encoding="utf-8")
