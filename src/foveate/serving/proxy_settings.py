"""How the proxy is set up."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from foveate.errors import OptionError
from foveate.memory.providers import AUTO, get_provider
from foveate.pages.text_tokens import estimate

if TYPE_CHECKING:
    from foveate.pages.render import Style

UPSTREAM, UPSTREAM_KEY = "FOVEATE_UPSTREAM", "FOVEATE_UPSTREAM_KEY"


@dataclass(frozen=True)
class ProxySettings:
    """What is decided at the start. Raises `OptionError` for what cannot be."""

    upstream: str  # the endpoint's URL, such as https://api.openai.com/v1
    budget: int = 16_000  # tokens of a request's messages and tools
    key: str | None = field(default=None, repr=False)  # sent upstream in the place of the client's own
    provider: str = AUTO
    style: Style | None = None
    recent: float = 0.5
    dry_run: bool = False  # requests go on untouched; only the accounting is made
    timeout: float = 600.0  # seconds without a byte from upstream
    connect_timeout: float = 10.0  # seconds
    max_bytes: int = 64 << 20  # of a request
    cache: Path | None = None  # folder of pages
    cache_bytes: int = 1 << 30
    count: Callable[[str], int] = estimate

    def __post_init__(self) -> None:
        place = urlsplit(self.upstream)
        if place.scheme not in ("http", "https") or not place.hostname or place.query or place.fragment:
            raise OptionError(
                f"{self.upstream!r} is no upstream: give the endpoint's URL, such as https://api.openai.com/v1"
            )
        if place.username or place.password:
            raise OptionError(f"the upstream's URL holds a password: give the key in {UPSTREAM_KEY}")
        if self.budget < 1 or not 0 <= self.recent <= 1:
            raise OptionError("the budget is 1 token or more, the share of recent text 0 to 1")
        if self.key is not None and (not self.key.isascii() or not self.key.isprintable() or not self.key):
            raise OptionError("the upstream's key is one line of plain letters and signs")
        if self.timeout <= 0 or self.connect_timeout <= 0 or self.max_bytes < 1:
            raise OptionError("timeouts and limits are above 0")
        get_provider(self.provider)


def upstream_of(option: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The upstream of an option, else of the environment. Raises `OptionError` where neither says."""
    upstream = option or environment.get(UPSTREAM)
    if not upstream:
        raise OptionError(f"say where requests go: --upstream URL, or {UPSTREAM} in the environment")
    return upstream.rstrip("/")


def key_of(variable: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The upstream's key from a variable of the environment; None: each client's own is sent on."""
    if variable is None:
        return environment.get(UPSTREAM_KEY) or None
    if not environment.get(variable):
        raise OptionError(
            f"{variable} is not set: put the upstream's key there, or name another with --key-env"
        )
    return environment[variable]
