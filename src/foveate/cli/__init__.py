"""The command `foveate`. Each module here is one of its commands or something that they share.

Importing it costs milliseconds: a command imports what it needs when it runs.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from foveate import __version__
from foveate.cli import (
    batch,
    data,
    eval,
    finetune,
    mcp,
    memory,
    models,
    proxy,
    read,
    recall,
    remember,
    render,
    serve,
    tokens,
    train,
    tune,
)
from foveate.cli.problems import FAILED, complain
from foveate.errors import FoveateError

INTERRUPTED, PIPE_CLOSED = 130, 141  # as a shell counts them: 128 and the number of the signal


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments of the process, or with others. Returns its exit code."""
    _accept_any_text()
    try:
        options = build_parser().parse_args(arguments)
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except FoveateError as problem:
        complain(problem)
        return FAILED
    except BrokenPipeError:
        # The interpreter flushes once more at its end, and would complain that nobody listens.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except OSError as problem:
        complain(problem)
        return FAILED


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; `docs/cli.md` is written from it."""
    parser = argparse.ArgumentParser(
        prog="foveate",
        description="Reads pages: PDFs, scans and photos become Markdown, text, HTML or JSON.",
        epilog="Exit code: 0 when all went well, 2 for anything that could not be read or understood.",
    )
    parser.add_argument("--version", action="version", version=f"foveate {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (
        read,
        batch,
        tokens,
        models,
        data,
        eval,
        train,
        finetune,
        remember,
        recall,
        memory,
        render,
        tune,
        serve,
        proxy,
        mcp,
    ):
        command.add_parser(commands)
    return parser


def _accept_any_text() -> None:
    """Keeps a letter that the terminal's encoding lacks from ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
