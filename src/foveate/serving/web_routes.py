"""The web page and what it asks for: looking at a document, reading it block by block, pages that fade.

`/`, `/web/…` and `/web/api/about` are for everybody; the rest is under `/v1/page/`, behind the keys.
"""

import base64
import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, UploadFile
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from foveate.document import Document
from foveate.engine.reader import Options
from foveate.errors import CorruptSource, InputError
from foveate.pages.prompts import PROMPTS, prompt_name
from foveate.serving import web_fading, web_view
from foveate.serving.drawing import Upload
from foveate.serving.errors import Refusal
from foveate.serving.options import ReadingOptions
from foveate.serving.service import Ask, Call, Done, Event, Opened, Piece, Started
from foveate.serving.state import AtDesk, Desk
from foveate.serving.streams import PING, EventStream, begun, event_bytes, events_of
from foveate.serving.uploads import safe_name

router = APIRouter(include_in_schema=False)
LOOKED_AT = 12  # pages whose picture and price are shown before anything is read

_HERE = Path(__file__).parent / "web"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_SAMPLES = (
    {
        "file": "page.png",
        "picture": "page.png",
        "type": "image/png",
        "title": "Large print",
        "words": "512 × 512 pixels, for small networks",
    },
    {
        "file": "paper.pdf",
        "picture": "paper.png",
        "type": "application/pdf",
        "title": "A two-page paper",
        "words": "PDF with headings, a table, a formula",
    },
)
_NANO = (
    "The embedded network, nano, reads printed English on small pages, with mistakes. Start the server with "
    "--model for documents."
)


# What is served to everybody


@router.get("/")
async def index(request: Request) -> Response:
    """The page."""
    return _static(request, "index.html")


@router.get("/web/api/about")
async def about(desk: AtDesk) -> JSONResponse:
    """What the page must know before it can ask anything."""
    settings, service = desk.settings, desk.service
    return JSONResponse(
        {
            "model": service.name,
            "keys": bool(settings.keys),
            "modes": web_view.modes(),
            "prompts": list(PROMPTS),
            "limits": {
                "bytes": settings.max_bytes,
                "pages": settings.max_pages,
                "tokens": settings.max_tokens,
            },
            "samples": _SAMPLES,
            "fade": web_fading.about(),
            "note": _NANO if service.reader.name == "nano" else "",
        }
    )


@router.get("/web/{path:path}")
async def static(request: Request, path: str) -> Response:
    """Styles, modules and samples."""
    return _static(request, path)


def _static(request: Request, path: str) -> Response:
    """A file of the page's own, by its exact name; every other name is a 404."""
    if path not in _files():
        raise Refusal(404, f"there is no {path[:80]!r} here: begin at /", "not_found")
    content, tag = _files()[path]
    headers = {"etag": tag, "cache-control": "no-cache", "content-security-policy": _policy()}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_TYPES[Path(path).suffix])


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Every file of the page: its bytes and the tag that names them."""
    found = {}
    for file in sorted(_HERE.rglob("*")):
        if file.suffix in _TYPES:
            content = file.read_bytes()
            found[file.relative_to(_HERE).as_posix()] = (
                content,
                f'"{hashlib.sha256(content).hexdigest()[:32]}"',
            )
    return found


@cache
def _policy() -> str:
    """Nothing from elsewhere, no script but ours, no markup made of text. The only style in markup is the one
    of our HTML documents, which are shown in a sandbox that inherits this policy."""
    (style,) = re.findall("<style>(.*?)</style>", Document("", ()).html(), re.DOTALL)
    known = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'sha256-{known}'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types foveate-sandbox",
        )
    )


# A document before it is read


class LookForm(ReadingOptions):
    """A file, and which of its pages."""

    file: UploadFile


@router.post("/v1/page/look")
async def look(desk: AtDesk, form: Annotated[LookForm, Form(media_type="multipart/form-data")]) -> Response:
    """How many pages there are, and of the first ones asked for: pictures, sizes and prices in tokens."""
    name = safe_name(form.file.filename)
    async with AsyncExitStack() as stack:
        path = await stack.enter_async_context(desk.folder.lent(form.file.file, name))
        await stack.enter_async_context(desk.place())
        everything = Upload(path, name, None, form.dpi, form.password)
        count = len(await desk.service.drawing.numbers(everything, desk.settings.max_job_pages))
        upload = Upload(path, name, form.pages, form.dpi, form.password)
        numbers = await desk.service.drawing.numbers(upload, desk.settings.max_pages)
        events = _looked(desk, upload, count, numbers)
        held = stack.pop_all()
    return EventStream(events, held, desk.request_id, "error")


async def _looked(desk: Desk, upload: Upload, count: int, numbers: list[int]) -> AsyncGenerator[bytes, None]:
    yield event_bytes({"type": "document", "count": count, "numbers": numbers})
    places = desk.service.reader.model.config.decoder.max_position_embeddings
    for number in numbers[:LOOKED_AT]:
        try:
            page = await desk.service.drawing.draw(upload, number)
        except InputError:  # reading it will tell what is wrong with it
            if len(numbers) == 1:
                raise
            continue
        width, height = page.image.size
        yield event_bytes(
            {
                "type": "page",
                "number": number,
                "width": width,
                "height": height,
                "auto": web_view.auto_mode(width, height),
                "costs": web_view.costs(width, height, places),
                "picture": await run_in_threadpool(web_view.picture, page.image),
            }
        )
    yield event_bytes({"type": "done"})


# A document block by block


class PageForm(LookForm):
    """A file, how to read it, and of which pages the browser has the pictures."""

    seen: str = Field("", max_length=200)


@router.post("/v1/page/read")
async def read(desk: AtDesk, form: Annotated[PageForm, Form(media_type="multipart/form-data")]) -> Response:
    """The pages as they are read: blocks with their places, words in doubt, and at the end the document."""
    name = safe_name(form.file.filename)
    options = form.options(desk.settings)
    async with AsyncExitStack() as stack:
        path = await stack.enter_async_context(desk.folder.lent(form.file.file, name))
        await stack.enter_async_context(desk.place())
        upload = Upload(path, name, form.pages, form.dpi, form.password)
        call = Call(desk.service, Ask(upload, options, pieces=True, seconds=desk.settings.timeout))
        await stack.enter_async_context(call)
        first = await begun(call)
        seen = {int(number) for number in re.findall("[0-9]{1,9}", form.seen)}
        events = _Readings(desk, options, name, seen).all(call, first)
        held = stack.pop_all()
    return EventStream(events, held, desk.request_id, "error")


class _Readings:
    """Turns a call's events into what the page shows."""

    def __init__(self, desk: Desk, options: Options, name: str, seen: set[int]) -> None:
        self._desk, self._name, self._seen = desk, name, seen
        self._prompt = prompt_name(options.prompt)
        self._growing: dict[int, web_view.Growing] = {}
        self._pages: dict[int, Any] = {}
        self._why: dict[int, str] = {}

    async def all(self, call: Call, first: list[Event]) -> AsyncGenerator[bytes, None]:
        async for event in events_of(call, first):
            news = None if event is None else await self._event(event)
            if event is None:
                yield PING
            elif news is not None:
                yield event_bytes(news)
        yield event_bytes({"type": "done"} | await run_in_threadpool(_written, self._document()))

    def _document(self) -> Document:
        return Document(self._name, tuple(self._pages.values()), self._desk.service.name)

    async def _event(self, event: Event) -> dict[str, Any] | None:
        if isinstance(event, Opened):
            self._pages = dict.fromkeys(event.numbers)
            return {"type": "start", "numbers": list(event.numbers), "model": self._desk.service.name}
        if isinstance(event, Started):
            return await self._started(event)
        if isinstance(event, Piece):
            return self._piece(event)
        return self._done(event)

    async def _started(self, event: Started) -> dict[str, Any]:
        if event.prepared is None:
            growing = self._growing[event.number]
            growing = self._growing[event.number] = web_view.Growing(self._prompt, *growing.size)
            tokens = web_view.costs(*growing.size, 0)[event.mode]["vision_tokens"]
            return {"type": "again", "number": event.number, "mode": event.mode, "vision_tokens": tokens}
        layout = event.prepared.layout
        self._growing[event.number] = web_view.Growing(self._prompt, *layout.page)
        news: dict[str, Any] = {
            "type": "page",
            "number": event.number,
            "width": layout.page[0],
            "height": layout.page[1],
            "mode": event.mode,
            "vision_tokens": layout.vision_tokens,
        }
        if event.number not in self._seen:
            news["picture"] = await run_in_threadpool(web_view.picture, event.prepared.job.page.image)
        return news

    def _piece(self, event: Piece) -> dict[str, Any] | None:
        growing = self._growing[event.number]
        growing.add(event.text, event.confidence)
        if not growing.due:
            return None
        start, blocks = growing.news()
        tokens = growing.tokens
        return {
            "type": "text",
            "number": event.number,
            "from": start,
            "blocks": blocks,
            "text_tokens": tokens,
        }

    def _done(self, event: Done) -> dict[str, Any]:
        page = self._pages[event.page.number] = event.page
        if page.error is not None:
            return {"type": "failed", "number": page.number, "message": page.error}
        confidence = None if event.reading is None else event.reading.confidence
        document = page.json()
        return {
            "type": "read",
            "blocks": web_view.block_views(page.raw, page.width, page.height, page.prompt, confidence),
            "document": document,
        } | {name: document[name] for name in _PAGE_FACTS}


_PAGE_FACTS = (
    "number",
    "width",
    "height",
    "mode",
    "vision_tokens",
    "text_tokens",
    "seconds",
    "confidence",
    "stop",
    "attempts",
)


@router.post("/v1/page/write")
async def write(request: Request) -> JSONResponse:
    """A document of the browser's history as Markdown and HTML."""
    document = Document.from_json(await request.body())
    try:
        return JSONResponse(await run_in_threadpool(_written, document))
    except ValueError as problem:  # numbers that are none, halves of characters: JSON may smuggle them in
        raise CorruptSource(
            f"the document holds what no document can ({problem}): read it again"
        ) from problem


def _written(document: Document) -> dict[str, Any]:
    return {"document": document.to_dict(), "markdown": document.markdown(), "html": document.html()}


# Pages that fade


@router.post("/v1/page/render")
async def render(desk: AtDesk, form: Annotated[web_fading.FadeForm, Form()]) -> JSONResponse:
    """Text as pages, and one of them as every age sees it."""
    async with desk.place():
        return JSONResponse(await run_in_threadpool(web_fading.rendered, form, desk.service.reader.tokenizer))


@router.post("/v1/page/fade")
async def fade(desk: AtDesk, form: Annotated[web_fading.FadeForm, Form()]) -> Response:
    """One page of a text read back at every age, all of them at once."""
    image = await run_in_threadpool(web_fading.page_image, form)
    async with AsyncExitStack() as stack:
        path = await stack.enter_async_context(desk.folder.lent(image, "memory.png"))
        await stack.enter_async_context(desk.place())
        upload = Upload(path, "memory.png")
        events = web_fading.read_back(desk.service, upload, desk.settings.timeout)
        held = stack.pop_all()
    return EventStream(events, held, desk.request_id, "error")
