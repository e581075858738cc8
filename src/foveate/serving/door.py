"""What every request passes before a route sees it: request id, key, size, time, log and numbers.

Plain ASGI, because a key and a size must be checked before the first byte of a body is kept.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foveate.serving.errors import Refusal
from foveate.serving.keys import ANYBODY, Asker
from foveate.serving.service import Service

LOG = logging.getLogger("foveate.serving")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PAGE = ("/v1/page/look", "/v1/page/read", "/v1/page/render", "/v1/page/fade")  # the web page asks these
_HEAVY = ("/v1/read", "/v1/chat/completions", "/v1/jobs", "/v1/files", *_PAGE)
_LINGER = 10.0  # seconds for which the rest of a refused body is thrown away, so that the answer arrives


class Door:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, service: Callable[[], Service]) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, receive, send, self._service())
        try:
            await visit.through(self._app)
        finally:
            visit.note()


class _Visit:
    """One request on its way in and its answer on its way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        self._scope, self._receive, self._send, self._service = scope, receive, send, service
        self._headers = Headers(scope=scope)
        asked = self._headers.get("x-request-id", "")
        self.id = asked if _ID.fullmatch(asked) else uuid.uuid4().hex
        self._started = time.perf_counter()
        self._bytes = 0
        # Whether the body has come to its end.
        self._whole = (
            "transfer-encoding" not in self._headers and self._headers.get("content-length", "0") == "0"
        )
        self._status = 0
        self._ended = False
        self._asker: Asker | None = None
        self._problem = ""
        state = scope.setdefault("state", {})
        state.update(request_id=self.id, note={})
        self._note: dict[str, Any] = state["note"]

    async def through(self, app: ASGIApp) -> None:
        """Refuses the request, or lets the application answer it."""
        try:
            self._admit()
            await app(self._scope, self._take, self._give)
        except Refusal as refused:
            if self._status:
                raise
            await self._refuse(refused)
        except TimeoutError:  # the client does not take its answer: nothing more can be said
            self._problem = "client_too_slow"
            raise

    def _admit(self) -> None:
        path, settings = self._scope["path"], self._service.settings
        if path.startswith("/v1/"):
            self._asker = self._identify()
            self._scope["state"]["asker"] = self._asker
        length = self._headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > settings.max_body:
            raise self._too_large()
        if self._scope["method"] == "POST" and path in _HEAVY:
            self._service.gate.check(self._asker.name if self._asker else "", bool(settings.keys))

    def _identify(self) -> Asker:
        keys = self._service.settings.keys
        if not keys:
            return ANYBODY
        scheme, _, key = self._headers.get("authorization", "").partition(" ")
        asker = keys.find(key.strip()) if scheme.lower() == "bearer" else None
        if asker is None:
            raise Refusal(
                401,
                "this server needs a key: send the header Authorization: Bearer YOUR-KEY",
                "invalid_api_key",
            )
        return asker

    async def _take(self) -> Message:
        """The next part of the body, counted, and not waited for too long."""
        if self._whole:
            return await self._receive()  # tells one day that the client has gone
        settings = self._service.settings
        try:
            async with asyncio.timeout(settings.idle_timeout):
                message = await self._receive()
        except TimeoutError:
            raise Refusal(
                408, f"nothing came for {settings.idle_timeout:g} s: send the request again", "too_slow"
            ) from None
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._bytes > settings.max_body:
                raise self._too_large()
        else:
            self._whole = True
        return message

    def _too_large(self) -> Refusal:
        most = self._service.settings.max_bytes
        return Refusal(
            413,
            f"the request is over the limit of {most:,} bytes for one document: split it into smaller files",
            "too_large",
        )

    async def _give(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.id
            headers.setdefault("x-content-type-options", "nosniff")
            headers.setdefault("referrer-policy", "no-referrer")
            headers.setdefault("cache-control", "no-store")
            if not self._whole:
                headers["connection"] = "close"
        elif not message.get("more_body", False):
            if not self._whole:
                await self._give({**message, "more_body": True})
                await self._throw_away()
                message = {"type": "http.response.body", "body": b""}
            self._ended = True
        async with asyncio.timeout(self._service.settings.idle_timeout):
            await self._send(message)

    async def _refuse(self, refused: Refusal) -> None:
        self._problem = refused.code
        response = JSONResponse(refused.body(self.id), refused.status_code, refused.headers)
        await response(self._scope, self._receive, self._give)

    async def _throw_away(self) -> None:
        # A connection that is closed while its client still writes may lose the answer on the way.
        try:
            async with asyncio.timeout(_LINGER):
                while not self._whole:
                    message = await self._receive()
                    self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        except TimeoutError:
            pass

    def note(self) -> None:
        """One line in the log and one more in the numbers. No content, no names of files."""
        route = getattr(self._scope.get("route"), "path", "unknown")
        seconds = time.perf_counter() - self._started
        status = self._status if self._ended else 499  # the client left
        metrics = self._service.metrics
        metrics.requests.labels(route, self._scope["method"][:10], str(status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        line = {
            "request_id": self.id,
            "method": self._scope["method"][:10],
            "route": route,
            "status": status,
            "seconds": round(seconds, 4),
            "bytes_in": self._bytes,
            "key": self._asker.name if self._asker else None,
        }
        LOG.info(
            "request",
            extra={"fields": line | ({"code": self._problem} if self._problem else {}) | self._note},
        )
