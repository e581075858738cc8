"""/v1/chat/completions and /v1/models, as the OpenAI API has them.

A request's pictures and documents are read page by page; its words are the prompt. Fields of our own: those
of `ReadingOptions`, and `format`.
"""

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from foveate.document import Document, Page
from foveate.errors import OptionError
from foveate.pages.mode import AUTO, MODES
from foveate.pages.prompts import PROMPTS
from foveate.serving.drawing import Upload
from foveate.serving.errors import Refusal
from foveate.serving.fetching import fetch
from foveate.serving.growing import PagesInOrder
from foveate.serving.options import ReadingOptions, Word
from foveate.serving.read import rendered
from foveate.serving.service import Ask, Call, Done, Event, Usage
from foveate.serving.state import AtDesk, Desk
from foveate.serving.streams import PING, EventStream, begun, event_bytes, events_of, unless_gone
from foveate.serving.uploads import safe_name

router = APIRouter(tags=["openai"])
MOST_PARTS = 64  # pictures and documents of one request
STARTED = int(time.time())
ChatFormat = Literal["markdown", "raw", "text", "html", "json"]


class ImageUrl(BaseModel):
    """A picture or a PDF."""

    url: str = Field(description="data:…;base64,…; http(s) where the server allows it")
    detail: Word | None = Field(None, description="low is the mode tiny; otherwise mode decides")


class FilePart(BaseModel):
    """A document, sent along or uploaded before."""

    file_data: str | None = Field(default=None, description="data:application/pdf;base64,…")
    file_id: Word | None = Field(default=None, description="of a file from /v1/files")
    filename: Word | None = None


class Part(BaseModel):
    """A piece of a message."""

    type: Literal["text", "image_url", "file"]
    text: str | None = Field(None, max_length=20_000)
    image_url: ImageUrl | str | None = None
    file: FilePart | None = None


class Message(BaseModel):
    """One turn. The words of system and assistant are not shown to the network, which knows no talk."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, Field(max_length=20_000)] | list[Part] | None = None


class StreamOptions(BaseModel):
    """As the OpenAI API has it."""

    include_usage: bool = False


class ChatRequest(ReadingOptions):
    """Pages to read, as a chat."""

    model_config = ConfigDict(extra="ignore")

    model: Word = Field("", description="the served model, see /v1/models")
    messages: list[Message] = Field(min_length=1, max_length=1000)
    prompt: Annotated[str, Field(max_length=20_000)] | None = Field(  # type: ignore[assignment]
        None, description="a prompt's name or text; otherwise the words of the messages, otherwise markdown"
    )
    format: ChatFormat = Field(
        "markdown", description="of the content; raw is what the network wrote, with boxes"
    )
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(
        None, ge=1, le=1_000_000, description="another name for max_tokens"
    )
    n: int = Field(1, ge=1, le=1, description="one answer")
    temperature: float | None = Field(None, ge=0, le=10, allow_inf_nan=False)  # type: ignore[assignment]
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)  # type: ignore[assignment]
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)  # type: ignore[assignment]


@router.get("/v1/models", summary="List the models")
async def models(desk: AtDesk) -> dict[str, Any]:
    """The one that is served, and what it can be asked for."""
    return {"object": "list", "data": [_model(desk)]}


@router.get("/v1/models/{name:path}", summary="Look at a model")
async def model(desk: AtDesk, name: str) -> dict[str, Any]:
    """The one that is served."""
    _check_model(desk, name)
    return _model(desk)


def _model(desk: Desk) -> dict[str, Any]:
    places = desk.service.reader.model.config.decoder.max_position_embeddings
    return {
        "id": desk.service.name,
        "object": "model",
        "created": STARTED,
        "owned_by": "foveate",
        "context_length": places,
        "modes": [AUTO, *MODES],
        "prompts": list(PROMPTS),
    }


def _check_model(desk: Desk, name: str) -> None:
    if name and name != desk.service.name:
        raise Refusal(
            404,
            f"the model {name!r} is not served here: ask for {desk.service.name!r}",
            "model_not_found",
            "model",
        )


@router.post("/v1/chat/completions", summary="Read pages, as a chat", response_class=Response)
async def chat(desk: AtDesk, request: ChatRequest) -> Response:
    """Reads the pictures and PDFs of the messages; streamed, the text comes while it is written."""
    _check_model(desk, request.model)
    async with AsyncExitStack() as stack:
        uploads = await _uploads(desk, request, stack)
        await stack.enter_async_context(desk.place())
        answer = _Answer(desk, request)
        asks = [answer.ask(upload) for upload in uploads]
        if request.stream:
            call = await stack.enter_async_context(Call(desk.service, asks[0]))
            first = await begun(call)
            events = answer.stream(call, first, asks[1:])
            return EventStream(events, stack.pop_all(), desk.request_id)
        return JSONResponse(await unless_gone(desk.request.receive, answer.whole(asks)))


async def _uploads(desk: Desk, request: ChatRequest, stack: AsyncExitStack) -> list[Upload]:
    """The pictures and documents of the messages, as files."""
    parts = [
        part
        for message in request.messages
        if isinstance(message.content, list)
        for part in message.content
        if part.type != "text"
    ]
    if not parts:
        raise OptionError(
            "there is no page to read: put an image_url or a file part into the content of a message"
        )
    if len(parts) > MOST_PARTS:
        raise OptionError(f"{len(parts)} pictures and files: send {MOST_PARTS} at most, or one PDF of them")
    return [await _upload(desk, request, part, number, stack) for number, part in enumerate(parts, 1)]


async def _upload(desk: Desk, request: ChatRequest, part: Part, number: int, stack: AsyncExitStack) -> Upload:
    file = part.file or FilePart()
    url = part.image_url.url if isinstance(part.image_url, ImageUrl) else part.image_url or file.file_data
    name = safe_name(file.filename, f"{part.type.partition('_')[0]} {number}")
    if part.type == "file" and file.file_id is not None:
        path, name = await desk.files.locate(file.file_id, desk.asker.name)
    elif url is None:
        raise OptionError(
            f"part {number} of type {part.type} has nothing in it: give it a data URL or a file_id"
        )
    else:
        if url[:5].lower() == "data:":
            path = await desk.folder.keep_data_url(url, name)
        else:
            path = await fetch(url, desk.folder, desk.settings)
        stack.callback(path.unlink, missing_ok=True)
    return Upload(path, name, request.pages, request.dpi, request.password)


class _Answer:
    """One chat's answer, whole or in pieces."""

    def __init__(self, desk: Desk, request: ChatRequest) -> None:
        self._desk, self._request = desk, request
        self._usage = Usage()
        self._pages: list[Page] = []
        self._id, self._created = "chatcmpl-" + uuid.uuid4().hex, int(time.time())
        self._prompt = request.prompt or _words(request) or "markdown"

    def ask(self, upload: Upload) -> Ask:
        request = self._request
        given = request.model_dump(include=set(ReadingOptions.model_fields) - {"prompt"}, exclude_none=True)
        options = ReadingOptions.model_validate(given | {"prompt": self._prompt})
        options.max_tokens = request.max_completion_tokens or request.max_tokens
        # A stream cannot take back what it has said, so no page is read again.
        retries = 0 if request.stream else None
        reading = options.options(self._desk.settings, retries)
        return Ask(upload, reading, pieces=request.stream, seconds=self._desk.settings.timeout)

    async def whole(self, asks: list[Ask]) -> dict[str, Any]:
        documents = []
        for ask in asks:
            result = await self._desk.service.read(ask)
            documents.append(result.document)
            self._pages += result.document.pages
            self._usage.join(result.usage)
        self._desk.note(**self._usage.numbers())
        content = "\n\n".join(self._content(document) for document in documents)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": content, "refusal": None},
            "logprobs": None,
            "finish_reason": self._reason,
        }
        return self._envelope("chat.completion", [choice]) | {"usage": self._usage.json(), **self._details}

    async def stream(self, call: Call, first: list[Event], others: list[Ask]) -> AsyncGenerator[bytes, None]:
        yield self._chunk({"role": "assistant", "content": ""})
        async for part in self._document(call, first):
            yield part
        for ask in others:
            yield self._chunk({"content": "\n\n"})
            async with Call(self._desk.service, ask) as another:
                async for part in self._document(another, []):
                    yield part
        yield self._chunk({}, self._reason)
        self._desk.note(**self._usage.numbers())
        if self._request.stream_options and self._request.stream_options.include_usage:
            chunk = self._envelope("chat.completion.chunk", []) | {
                "usage": self._usage.json(),
                **self._details,
            }
            yield event_bytes(chunk)
        yield event_bytes("[DONE]")

    async def _document(self, call: Call, first: list[Event]) -> AsyncGenerator[bytes, None]:
        """One document's text, page after page, though the pages may be read in any order."""
        pages = PagesInOrder(self._request.format, self._prompt)
        async for event in events_of(call, first):
            if event is None:
                yield PING
                continue
            if isinstance(event, Done):
                self._usage.add(event)
                self._pages.append(event.page)
            if text := pages.add(event):
                yield self._chunk({"content": text})
        if self._request.format in ("html", "json"):
            document = Document(call.name, tuple(pages.done), self._desk.service.name)
            yield self._chunk({"content": self._content(document)})

    def _content(self, document: Document) -> str:
        format = self._request.format
        if format == "raw":
            return "\n\n".join(page.raw for page in document.pages)
        if format == "markdown":
            return document.markdown()
        return rendered(document, format)[0].rstrip("\n")

    @property
    def _reason(self) -> str:
        whole = all(page.stop in ("end", "error") for page in self._pages)
        return "stop" if whole else "length"

    @property
    def _details(self) -> dict[str, Any]:
        about = ("number", "mode", "vision_tokens", "text_tokens", "ratio", "confidence", "stop", "error")
        pages = ((page, page.json()) for page in self._pages)
        return {"foveate": {"pages": [{name: values[name] for name in about} for _, values in pages]}}

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        about = {"id": self._id, "object": kind, "created": self._created, "model": self._desk.service.name}
        return about | {"choices": choices}

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event_bytes(self._envelope("chat.completion.chunk", [choice]))


def _words(request: ChatRequest) -> str:
    """The words of the user's last message that has any."""
    for message in reversed(request.messages):
        if message.role == "user" and message.content is not None:
            content = message.content
            texts = [content] if isinstance(content, str) else [part.text or "" for part in content]
            if words := "\n".join(text.strip() for text in texts if text.strip()):
                return words
    return ""
