"""`foveate proxy`: long histories as text and pages, in front of any endpoint that sees."""

import argparse
import sys
from pathlib import Path

from foveate.cli import options as shared
from foveate.errors import OptionError

ABOUT = """
An OpenAI-compatible proxy in front of an endpoint with a vision model: the older text of a long history goes
on as pictures of pages, so that its tokens stay within a budget. System messages, tools and the newest turn
stay text; answers come back untouched, chunk by chunk.
"""
EPILOG = """
Point a client at http://HOST:PORT/v1. POST /foveate/estimate with a chat request says what would be saved,
and GET /foveate/status what has been. docs/proxy.md says more.
"""
PROVIDERS = (
    "whose rules count pictures: openai, openai-mini, openai-nano, anthropic, gemini, gemini3, qwen2.5-vl, "
    "qwen3-vl, deepseek-ocr, generic, or auto, by the model's name (default: auto)"
)
KEY = (
    "variable that holds the upstream's key (default: FOVEATE_UPSTREAM_KEY; unset: each client's own key "
    "goes on)"
)
ALONE = ("127.0.0.1", "localhost", "::1")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "proxy",
        help="shorten long chats in front of another endpoint",
        description=" ".join(ABOUT.split()),
        epilog=" ".join(EPILOG.split()),
    )
    _add_upstream(parser.add_argument_group("upstream"))
    _add_packing(parser.add_argument_group("what is sent"))
    add = parser.add_argument_group("address").add_argument
    add("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine alone)")
    add("--port", metavar="N", type=shared.whole_number(0), default=8010, help="(default: 8010)")
    add("--quiet", action="store_true", help="no line for each request")
    parser.set_defaults(run=run)


def _add_upstream(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    silence = "without a byte from upstream (default: 600)"
    large = "refuse larger requests (default: 64 MiB)"
    add("--upstream", metavar="URL", help="such as https://api.openai.com/v1 (default: $FOVEATE_UPSTREAM)")
    add("--key-env", metavar="NAME", help=KEY)
    add("--timeout", metavar="SECONDS", type=shared.whole_number(1), default=600, help=silence)
    add("--max-bytes", metavar="N", type=shared.whole_number(1), default=64 << 20, help=large)


def _add_packing(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    budget = "tokens of a request's messages and tools (default: 16000)"
    recent = "of the budget that recent text may keep (default: 0.5)"
    add("--budget", metavar="N", type=shared.whole_number(1), default=16_000, help=budget)
    add("--provider", metavar="NAME", default="auto", help=PROVIDERS)
    add("--style", metavar="NAME|FILE", help="of the pages (default: glyph-96dpi); see foveate render --list")
    add("--recent", metavar="SHARE", type=_share, default=0.5, help=recent)
    add("--tokenizer", metavar="FILE", type=Path, help="tokenizer.json to count with (default: an estimate)")
    add("--cache", metavar="DIR", type=Path, help="keep pages here, also for the next start")
    add("--dry-run", action="store_true", help="send everything on untouched; only say what would be saved")


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")
    return number


def run(options: argparse.Namespace) -> int:
    """Serves until it is stopped. Returns the exit code."""
    from foveate.pages.render import fonts, styles
    from foveate.pages.text_tokens import counter, estimate

    try:
        import uvicorn

        from foveate.serving.proxy import create_proxy
        from foveate.serving.proxy_settings import ProxySettings, key_of, upstream_of
    except ImportError as problem:
        raise OptionError(f"foveate proxy needs {problem.name}: pip install 'foveate[serve]'") from problem
    settings = ProxySettings(
        upstream=upstream_of(options.upstream),
        key=key_of(options.key_env),
        budget=options.budget,
        provider=options.provider,
        style=None if options.style is None else styles.get(options.style),
        recent=options.recent,
        dry_run=options.dry_run,
        timeout=float(options.timeout),
        max_bytes=options.max_bytes,
        cache=options.cache,
        count=estimate if options.tokenizer is None else counter(options.tokenizer),
    )
    fonts.chain((), False, False, "")  # without fonts there are no pages: better said now
    app = create_proxy(settings)
    if not options.quiet:
        from foveate.serving.logs import set_up

        set_up()
    if settings.key is not None and options.host not in ALONE:
        warning = f"whoever reaches {options.host}:{options.port} can spend on the upstream's key"
        print(f"foveate: {warning}", file=sys.stderr)
    uvicorn.run(app, host=options.host, port=options.port, log_config=None, access_log=False)
    return 0
