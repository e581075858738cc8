"""POST /v1/read: a file in, a document out; whole, or page by page as it is read."""

import base64
import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from io import BytesIO
from typing import Annotated, Any

from fastapi import APIRouter, Form, UploadFile
from PIL import Image
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from foveate.document import Document
from foveate.engine.engine import Reading
from foveate.serving.drawing import Upload
from foveate.serving.options import Format, ReadingOptions
from foveate.serving.service import Ask, Call, Done, Event, Opened, Piece, Started, Usage
from foveate.serving.state import AtDesk, Desk
from foveate.serving.streams import PING, EventStream, begun, event_bytes, events_of, unless_gone
from foveate.serving.uploads import safe_name

router = APIRouter(tags=["read"])
SHOWN_SIDE = 1600  # pixels of the longer side of a page's picture in a stream
_WORD = re.compile(r"\S+")


class ReadForm(ReadingOptions):
    """A file and how to read it."""

    file: UploadFile = Field(description="PDF, PNG, JPEG, WebP, TIFF, GIF or BMP")
    format: Format = Field("json", description="of the answer")
    stream: bool = Field(False, description="server-sent events while the pages are read")
    images: bool = Field(False, description="with stream: each page's picture, as a data URL")
    words: bool = Field(False, description="the network's confidence in each word")


@router.post("/v1/read", summary="Read a document", responses={200: {"content": {
    "application/json": {}, "text/markdown": {}, "text/html": {}, "text/plain": {}, "text/event-stream": {},
}}}, response_class=Response)  # fmt: skip
async def read(desk: AtDesk, form: Annotated[ReadForm, Form(media_type="multipart/form-data")]) -> Response:
    """The document as JSON, Markdown, HTML or text; with `stream` its pages as events."""
    name = safe_name(form.file.filename)
    options = form.options(desk.settings)
    async with AsyncExitStack() as stack:
        path = await stack.enter_async_context(desk.folder.lent(form.file.file, name))
        await stack.enter_async_context(desk.place())
        upload = Upload(path, name, form.pages, form.dpi, form.password)
        ask = Ask(upload, options, pieces=form.stream, seconds=desk.settings.timeout)
        if form.stream:
            call = await stack.enter_async_context(Call(desk.service, ask))
            first = await begun(call)
            events = _Events(desk, form, name).all(call, first)
            return EventStream(events, stack.pop_all(), desk.request_id, "error")
        result = await unless_gone(desk.request.receive, desk.service.read(ask))
    desk.note(**result.usage.numbers())
    return written(result.document, form.format, result.usage)


def written(document: Document, format: Format, usage: Usage | None = None) -> Response:
    """A document as an answer, its costs in headers."""
    headers = (
        {f"x-foveate-{k.replace('_', '-')}": str(v) for k, v in usage.numbers().items()} if usage else {}
    )
    content, kind = rendered(document, format)
    if kind == "text/html":
        headers["content-security-policy"] = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return Response(content.encode("utf-8", "replace"), headers=headers, media_type=kind)


def rendered(document: Document, format: Format) -> tuple[str, str]:
    """A document's text and its media type."""
    if format == "md":
        return document.markdown() + "\n", "text/markdown"
    if format == "html":
        return document.html(), "text/html"
    if format == "text":
        return document.text() + "\n", "text/plain"
    return document.json(indent=None), "application/json"


def word_confidences(reading: Reading) -> list[dict[str, Any]]:
    """Each word of the raw text: where it stands in it, and the network's confidence."""
    spans = (match.span() for match in _WORD.finditer(reading.text))
    return [{"start": a, "end": b, "confidence": reading.confidence(a, b)} for a, b in spans]


class _Events:
    """Turns a call's events into server-sent ones."""

    def __init__(self, desk: Desk, form: ReadForm, name: str) -> None:
        self._desk, self._form, self._name = desk, form, name
        self._pages: dict[int, Any] = {}
        self._usage = Usage()

    async def all(self, call: Call, first: list[Event]) -> AsyncGenerator[bytes, None]:
        async for event in events_of(call, first):
            yield PING if event is None else await self._event(event)
        document = Document(self._name, tuple(self._pages.values()), self._desk.service.name)
        content, kind = rendered(document, self._form.format)
        self._desk.note(**self._usage.numbers())
        yield event_bytes({"usage": self._usage.json(), "media_type": kind, "content": content}, "done")

    async def _event(self, event: Event) -> bytes:
        if isinstance(event, Opened):
            self._pages = dict.fromkeys(event.numbers)
            about = {"source": self._name, "model": self._desk.service.name, "pages": list(event.numbers)}
            return event_bytes(about, "document")
        if isinstance(event, Started):
            return event_bytes(await self._started(event), "page_start")
        if isinstance(event, Piece):
            piece = {"page": event.number, "text": event.text, "confidence": round(event.confidence, 4)}
            return event_bytes(piece, "piece")
        return event_bytes(self._done(event), "page")

    async def _started(self, event: Started) -> dict[str, Any]:
        about: dict[str, Any] = {"page": event.number, "mode": event.mode, "attempt": event.attempt}
        if event.prepared is not None:
            layout = event.prepared.layout
            about |= {
                "width": layout.page[0],
                "height": layout.page[1],
                "vision_tokens": layout.vision_tokens,
            }
            if self._form.images:
                about["image"] = await run_in_threadpool(_picture, event.prepared.job.page.image)
        return about

    def _done(self, event: Done) -> dict[str, Any]:
        self._pages[event.page.number] = event.page
        self._usage.add(event)
        about: dict[str, Any] = {"page": event.page.json(), "markdown": event.page.markdown()}
        if self._form.words and event.reading is not None:
            about["words"] = word_confidences(event.reading)
        return about


def _picture(image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    file = BytesIO()
    small.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
