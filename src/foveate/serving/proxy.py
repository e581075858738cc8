"""A proxy in front of any OpenAI-compatible endpoint that sees: long histories go on as text and pages.

    app = create_proxy(ProxySettings("https://api.openai.com/v1", budget=16_000))

`POST …/chat/completions` is packed (`memory.messages`) and sent on; everything else goes on as it is. Answers
come back as they are: status, headers and bytes, chunk by chunk. Of its own it has

    GET  /foveate/health     GET /foveate/status     GET /foveate/metrics
    POST /foveate/estimate   what would be saved of a chat request, which is not sent on

and for single requests the headers `x-foveate-budget: N|off` and `x-foveate-dry-run: true`, which do not go
on. What was done stands in the answer's headers: x-foveate-tokens-before, -tokens-after, -images and so on.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from foveate.errors import FoveateError, OptionError, SourceTooLarge
from foveate.serving.proxy_counts import CONTENT_TYPE, Counts, log
from foveate.serving.proxy_packing import HEADER, Handled, Packer, chat_of
from foveate.serving.proxy_settings import ProxySettings

if TYPE_CHECKING:
    import httpx

CHAT = "/chat/completions"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# Of one connection alone (RFC 9110, section 7.6.1), and what the client library writes itself.
HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_OURS = HOP | {"host", "content-length", "expect"}


def create_proxy(settings: ProxySettings, transport: httpx.AsyncBaseTransport | None = None) -> Starlette:
    """The application. `transport`: how upstream is reached. Raises `OptionError` without httpx."""
    proxy = Proxy(settings, transport)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await proxy.client.aclose()

    routes = [
        Route("/foveate/health", proxy.health),
        Route("/foveate/status", proxy.status),
        Route("/foveate/metrics", proxy.metrics),
        Route("/foveate/estimate", proxy.estimate, methods=["POST"]),
        Route("/{path:path}", proxy.forward, methods=METHODS),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class Proxy:
    """What the routes do."""

    def __init__(self, settings: ProxySettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._packer = Packer(settings)
        self.counts = Counts()
        self.client = _client(settings, transport)

    # Its own

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def status(self, request: Request) -> Response:
        cache = self._packer.cache
        pages = {"bytes": cache.size, "hits": cache.hits, "folder_hits": cache.folder_hits,
                 "misses": cache.misses}  # fmt: skip
        settings = self._settings
        shown = {
            "upstream": settings.upstream,
            "budget": settings.budget,
            "provider": settings.provider,
            "dry_run": settings.dry_run,
        }
        return JSONResponse({"settings": shown, "totals": self.counts.totals(), "pages": pages})

    async def metrics(self, request: Request) -> Response:
        return PlainTextResponse(self.counts.text(), media_type=CONTENT_TYPE)

    async def estimate(self, request: Request) -> Response:
        """What would be saved of a chat request; nothing is sent on."""
        try:
            wish = self._packer.wish(request.headers)
            values = chat_of(await self._body(request))
            budget = wish.budget or self._settings.budget
            _, accounting = await run_in_threadpool(self._packer.pack, values, budget)
        except FoveateError as problem:
            return _refused(problem)
        except ClientDisconnect:
            return Response(status_code=499)
        return JSONResponse(accounting.to_dict())

    # What goes on

    async def forward(self, request: Request) -> Response:
        """Sends a request on and its answer back."""
        started = time.monotonic()
        handled: Handled | None = None
        try:
            wish = self._packer.wish(request.headers)
            body = await self._body(request)
            if request.method == "POST" and request.url.path.rstrip("/").endswith(CHAT):
                handled = await run_in_threadpool(self._packer.handle, body, wish)
                self.counts.handled(handled)
                body = handled.body
            answer = await self._send(request, body)
        except FoveateError as problem:
            answer = None
            response: Response = _refused(problem)
        except ClientDisconnect:
            answer, response = None, Response(status_code=499)  # nobody is there to see it
        if answer is not None:
            response = _passed(answer, told(handled))
        failed = response.status_code in (502, 504) and answer is None
        self.counts.answered(response.status_code, failed)
        log(request.method, request.url.path, response.status_code, time.monotonic() - started, handled)
        return response

    async def _body(self, request: Request) -> bytes:
        """Raises `SourceTooLarge` as soon as there is too much of it."""
        limit = self._settings.max_bytes
        parts, length = [], 0
        async for part in request.stream():
            parts.append(part)
            length += len(part)
            if length > limit:
                raise SourceTooLarge(
                    f"the request has more than {limit:,} bytes: send less, or start the proxy with a larger "
                    "--max-bytes"
                )
        return b"".join(parts)

    async def _send(self, request: Request, body: bytes) -> httpx.Response:
        """The upstream's answer, of which only the head has come. Raises `_Unreachable`."""
        import httpx

        sent = self.client.build_request(
            request.method, self._address(request), headers=self._headers(request), content=body or None
        )
        try:
            return await self.client.send(sent, stream=True)
        except httpx.TimeoutException as problem:
            raise _Unreachable(504, "upstream does not answer in time: try again later") from problem
        except (httpx.TransportError, httpx.InvalidURL) as problem:
            kind = type(problem).__name__
            raise _Unreachable(502, f"upstream cannot be reached ({kind}): check --upstream") from problem

    def _address(self, request: Request) -> str:
        """Below the upstream's own URL, whatever the path says. A leading /v1 stands for the upstream's."""
        raw: bytes = request.scope.get("raw_path") or quote(request.url.path).encode()
        path = "/" + raw.decode("latin-1").partition("?")[0].lstrip("/")
        if any(part in (".", "..", "%2e", "%2e%2e", ".%2e", "%2e.") for part in path.lower().split("/")):
            raise OptionError("the path leaves the endpoint: send one without dots")
        if path == "/v1" or path.startswith("/v1/"):
            path = path.removeprefix("/v1")
        query = request.url.query
        return f"{self._settings.upstream.rstrip('/')}{path}" + (f"?{query}" if query else "")

    def _headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        """The client's headers, but for those of the connection and ours; the upstream's key if there is
        one."""
        named = _of_connection(request.headers.get("connection", ""))
        found = [
            (name, value)
            for name, value in request.headers.raw
            if (low := name.decode("latin-1").lower()) not in _OURS
            and low not in named
            and not low.startswith(HEADER)
            and not (low == "authorization" and self._settings.key is not None)
        ]
        if self._settings.key is not None:
            found.append((b"authorization", f"Bearer {self._settings.key}".encode()))
        return found


class _Unreachable(FoveateError):
    """Upstream gives no answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _client(settings: ProxySettings, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    try:
        import httpx
    except ImportError as problem:
        raise OptionError("the proxy needs httpx: pip install 'foveate[serve]'") from problem
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        follow_redirects=False,
        trust_env=False,  # a .netrc must not add a password to what clients send
        headers=[],
    )


def _of_connection(value: str) -> set[str]:
    """The headers that a Connection header names."""
    return {name.strip().lower() for name in value.split(",")}


def _passed(answer: httpx.Response, more: Mapping[str, str]) -> Response:
    """The upstream's answer as it comes: its bytes are not unpacked, so their encoding stays."""
    named = _of_connection(answer.headers.get("connection", ""))
    response = StreamingResponse(_chunks(answer), status_code=answer.status_code)
    response.raw_headers = [
        (name.lower(), value)
        for name, value in answer.headers.raw
        if (low := name.decode("latin-1").lower()) not in HOP and low not in named
    ]
    response.raw_headers += [
        (name.encode(), value.encode("latin-1", "replace")) for name, value in more.items()
    ]
    return response


async def _chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Each piece when it comes. When the client goes away, upstream is let go too."""
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def told(handled: Handled | None) -> dict[str, str]:
    """What was done to a request, as headers of its answer."""
    if handled is None:
        return {}
    if handled.problem is not None:
        return {HEADER + "not-packed": " ".join(handled.problem.split())[:300]}
    if (account := handled.accounting) is None:
        return {}
    found: dict[str, Any] = {
        "provider": account.provider,
        "budget": account.budget,
        "tokens-before": account.before,
        "tokens-after": account.after,
        "tokens-saved": account.saved,
        "images": account.images,
        "dropped-messages": account.dropped_messages,
        "over-budget": str(account.over_budget).lower(),
        "dry-run": str(handled.dry_run).lower(),
    }
    return {HEADER + name: str(value) for name, value in found.items()}


def _refused(problem: FoveateError) -> Response:
    """A problem of the proxy's own, as the OpenAI API says it."""
    status = 413 if isinstance(problem, SourceTooLarge) else getattr(problem, "status", 400)
    kind = "invalid_request_error" if status < 500 else "upstream_error"
    detail = {"message": f"foveate proxy: {problem}", "type": kind, "param": None, "code": None}
    content = json.dumps({"error": detail}, ensure_ascii=True)
    return Response(content, status, media_type="application/json")
