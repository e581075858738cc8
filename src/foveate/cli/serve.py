"""`foveate serve`: the server."""

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.cli import options as shared
from foveate.cli import read
from foveate.errors import OptionError

if TYPE_CHECKING:
    from foveate.serving.settings import Settings

LEVELS = ("debug", "info", "warning", "error")
EPILOG = """
The web page is at /, the API page at /docs, both without other hosts. docs/serving.md says more.
Without --keys it answers to everybody who reaches it, and so listens to this machine alone.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "serve",
        help="serve an API and a web page",
        description="Serves an OpenAI-style API, jobs for long documents, and a web page. Requests of "
        "different users share the network's batches.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_address(parser.add_argument_group("address and keys"))
    _add_limits(parser.add_argument_group("limits"))
    shared.add_model(parser)
    parser.set_defaults(run=run)


def _add_address(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine alone)")
    add(
        "--port", metavar="N", type=shared.whole_number(0), default=8000, help="0: a free one (default: 8000)"
    )
    add("--keys", metavar="FILE", type=Path, help="of API keys: a name and a key on each line")
    add("--new-key", metavar="NAME", help="add a key to the file of --keys, print it once, and serve nothing")
    add("--open", action="store_true", help="let everybody in, from other machines too, without keys")
    add(
        "--origin",
        metavar="URL",
        action="append",
        default=[],
        help="a web page elsewhere that may call; repeatable",
    )
    add(
        "--work",
        metavar="DIR",
        type=Path,
        help="of uploads and jobs (default: ~/.local/state/foveate/server)",
    )
    add("--name", help="of the model, to the outside (default: the model's)")
    add("--log-level", choices=LEVELS, default="info", help="of the log, lines of JSON on standard error")


def _add_limits(group: argparse._ArgumentGroup) -> None:
    add, number = group.add_argument, shared.whole_number
    add(
        "--batch-size", metavar="N", type=number(1), help="pages that the network reads at once (default: 16)"
    )
    add("--max-bytes", metavar="N", type=number(1), help="of one document (default: 50 million)")
    add("--max-pixels", metavar="N", type=number(1), help="of one picture (default: 100 million)")
    add("--max-pages", metavar="N", type=number(1), help="of one request (default: 100)")
    add("--max-job-pages", metavar="N", type=number(1), help="of one job (default: 5000)")
    add("--max-tokens", metavar="N", type=number(1), help="of the answer to one page, whatever is asked for")
    add("--max-running", metavar="N", type=number(1), help="requests in work (default: 32)")
    add("--max-queue", metavar="N", type=number(0), help="requests that may wait; then 429 (default: 64)")
    add("--max-per-key", metavar="N", type=number(1), help="requests of one key at a time (default: 16)")
    add("--timeout", metavar="S", type=number(1), help="seconds for one request (default: 600)")
    add("--drain", metavar="S", type=number(0), help="seconds for what is under way at the end (default: 30)")
    add("--jobs-at-once", metavar="N", type=number(1), help="jobs in work (default: 2)")
    add("--keep-hours", metavar="H", type=number(1), help="of results and uploaded files (default: 24)")
    add("--allow-urls", action="store_true", help="fetch pictures by http(s), from public addresses alone")


def run(options: argparse.Namespace) -> int:
    """Serves until it is told to stop. Returns the exit code."""
    if options.port > 65_535:
        raise OptionError(f"there is no port {options.port}: choose 0 to 65535")
    if options.new_key is not None:
        return _make_key(options)
    try:
        from foveate.serving import logs
        from foveate.serving.run import run as serve
    except ImportError as problem:
        raise OptionError(f"the server needs {problem.name}: pip install 'foveate[serve]'") from problem
    settings = _settings(options)
    reader = read.load_reader(options)
    logs.set_up(options.log_level)

    def started(url: str) -> None:
        print(f"foveate serves {settings.name or reader.name} at {url} (Ctrl-C ends it)", flush=True)

    serve(reader, settings, options.host, options.port, options.open, started)
    return 0


def _make_key(options: argparse.Namespace) -> int:
    from foveate.serving.keys import new_key

    if options.keys is None:
        raise OptionError("--new-key adds to a file: name it with --keys FILE")
    print(new_key(options.keys, options.new_key))
    print(f"{options.keys} holds its hash; nobody can show the key again", file=sys.stderr)
    return 0


def _settings(options: argparse.Namespace) -> "Settings":
    from foveate.serving.keys import Keys
    from foveate.serving.run import with_changes
    from foveate.serving.settings import Settings

    named = {field.name for field in fields(Settings)} - {"keys", "work"}
    given = {name: value for name, value in vars(options).items() if name in named}
    keys = Keys() if options.keys is None else Keys.load(options.keys)
    work = options.work or _state_folder() / "foveate" / "server"
    return with_changes(Settings(keys=keys, work=work, origins=tuple(options.origin)), given)


def _state_folder() -> Path:
    """Where programs keep what must outlive them, by the XDG base directory specification."""
    named = os.environ.get("XDG_STATE_HOME", "")
    return Path(named) if os.path.isabs(named) else Path.home() / ".local" / "state"
