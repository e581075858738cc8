"""Answers that come in pieces: server-sent events, and Markdown that grows while a page is written."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from foveate.serving.errors import Refusal, refusal
from foveate.serving.service import Call, Done, Event, Opened

Answer = TypeVar("Answer")
LOG = logging.getLogger("foveate.serving")
HEARTBEAT = 15.0  # seconds of silence after which a comment tells proxies that the stream lives
PING = b": still reading\n\n"


def event_bytes(data: Any, name: str | None = None) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode("utf-8", "replace")


class EventStream(Response):
    """Sends what a generator gives; both end when the client leaves. `held` is let go of in any case."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        held: AsyncExitStack,
        request_id: str,
        error_event: str | None = None,
    ) -> None:
        super().__init__(None, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events, self._held, self._request_id = events, held, request_id
        self._error_event = error_event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held, contextlib.aclosing(self._events):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            with contextlib.suppress(ClientGone):
                await unless_gone(receive, self._write(send))

    async def _write(self, send: Send) -> None:
        try:
            async for part in self._events:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        except (TimeoutError, ConnectionError):
            raise
        except Exception as problem:  # the status has been sent: the error is the last event
            answer = refusal(problem)
            if answer is not problem and answer.status_code == 500:
                LOG.error(
                    "stream_failed", exc_info=problem, extra={"fields": {"request_id": self._request_id}}
                )
            body = event_bytes(answer.body(self._request_id), self._error_event)
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class ClientGone(Refusal):
    """Nobody waits for the answer any more."""

    def __init__(self) -> None:
        super().__init__(499, "the client has left", "client_gone")


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, Answer]) -> Answer:
    """The work's result; when the client leaves, the work ends and a `Refusal` is raised for the log."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.wait({task, gone})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def begun(call: Call) -> list[Event]:
    """The first events of a call, up to one that promises an answer.

    So that a document that cannot be read is a 4xx and no stream that begins and breaks.
    """
    events: list[Event] = []
    async for event in call:
        events.append(event)
        if not isinstance(event, Opened) and not (isinstance(event, Done) and event.page.error):
            break
    return events


async def events_of(call: Call, first: list[Event]) -> AsyncGenerator[Event | None, None]:
    """All events; None when there has been silence for a while."""
    for event in first:
        yield event
    with contextlib.suppress(StopAsyncIteration):
        while True:
            yield await call.next(HEARTBEAT)
