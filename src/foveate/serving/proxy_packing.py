"""What the proxy does to a chat request, and what it counts of it. Nothing here knows HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from foveate.errors import FoveateError, InputError, OptionError
from foveate.memory.accounting import Accounting
from foveate.memory.messages import pack
from foveate.pages.render.cache import PageCache
from foveate.serving.proxy_settings import ProxySettings

HEADER = "x-foveate-"
BUDGET, DRY_RUN = HEADER + "budget", HEADER + "dry-run"
_COUNTED = 4096  # texts whose tokens are remembered
_EXTRAS = ("tools", "functions", "response_format")  # sent along with the messages, and paid for


class NotAChat(InputError):
    """A body that is no chat request: it goes on as it is, and upstream answers it."""


@dataclass(frozen=True)
class Wish:
    """What a request's headers ask for."""

    budget: int | None  # None: leave the request alone
    dry_run: bool


@dataclass(frozen=True)
class Handled:
    """A request's body as it goes on, and what was counted."""

    body: bytes
    model: str
    accounting: Accounting | None = None  # None where the request was left alone
    problem: str | None = None  # why it could not be packed; it then goes on as it was
    seconds: float = 0.0
    dry_run: bool = False


class Packer:
    """Packs requests. May be called from several threads."""

    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
        self.cache = PageCache(folder=settings.cache, folder_limit=settings.cache_bytes)
        self._count = lru_cache(maxsize=_COUNTED)(settings.count)
        self._lock = threading.Lock()

    def wish(self, headers: Mapping[str, str]) -> Wish:
        """Raises `OptionError` for a header that cannot be understood."""
        budget: int | None = self._settings.budget
        asked = headers.get(BUDGET)
        if asked is not None:
            if asked.strip().lower() == "off":
                budget = None
            elif asked.strip().isdecimal() and 0 < int(asked) < 1 << 31:
                budget = int(asked)
            else:
                raise OptionError(f"{BUDGET} is a number of tokens, or off")
        dry = headers.get(DRY_RUN)
        if dry is not None and dry.strip().lower() not in ("1", "0", "true", "false"):
            raise OptionError(f"{DRY_RUN} is true or false")
        return Wish(budget, self._settings.dry_run or (dry or "").strip().lower() in ("1", "true"))

    def handle(self, body: bytes, wish: Wish) -> Handled:
        """A body as it goes on: the same bytes where nothing had to be done, or could."""
        started = time.perf_counter()
        try:
            values = chat_of(body)
        except NotAChat:
            return Handled(body, "")
        model = _model(values)
        if wish.budget is None:
            return Handled(body, model)
        try:
            messages, accounting = self.pack(values, wish.budget)
        except FoveateError as problem:
            # Whoever asked gets an answer, as without the proxy: it only costs more.
            return Handled(body, model, problem=str(problem), seconds=time.perf_counter() - started)
        if accounting.saved > 0 and not wish.dry_run:
            text = json.dumps({**values, "messages": messages}, ensure_ascii=False, separators=(",", ":"))
            body = text.encode("utf-8", "surrogatepass")
            body = body if _is_utf8(body) else json.dumps({**values, "messages": messages}).encode()
        return Handled(body, model, accounting, seconds=time.perf_counter() - started, dry_run=wish.dry_run)

    def pack(self, values: Mapping[str, Any], budget: int) -> tuple[list[dict[str, Any]], Accounting]:
        """The messages of a chat request within the budget, or as they were where that saves nothing.

        Raises `FoveateError`.
        """
        settings = self._settings
        sent = [values[name] for name in _EXTRAS if values.get(name)]
        extra = sum(self._count(json.dumps(value, ensure_ascii=False)) for value in sent)
        with self._lock:  # rendering is one at a time in any case: so the same pages are not made twice
            packed = pack(
                values["messages"],
                budget,
                provider=settings.provider,
                model=_model(values),
                style=settings.style,
                recent=settings.recent,
                count=self._count,
                extra=extra,
                cache=self.cache,
            )
        if packed.accounting.saved > 0:
            return packed.messages, packed.accounting
        same = replace(
            packed.accounting, after=packed.accounting.before, levels=(), dropped_messages=0, dropped_tokens=0
        )
        return [dict(message) for message in values["messages"]], same


def chat_of(body: bytes) -> dict[str, Any]:
    """The values of a chat request. Raises `NotAChat`."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise NotAChat("the body is no JSON: send a chat completion's request") from problem
    if not isinstance(values, dict) or not isinstance(values.get("messages"), list):
        raise NotAChat('the body has no messages: send {"model": …, "messages": […]}')
    return values


def _model(values: Mapping[str, Any]) -> str:
    name = values.get("model")
    return name if isinstance(name, str) else ""


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
