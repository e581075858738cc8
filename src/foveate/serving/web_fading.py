"""Text to pages, and a page as every age of a memory sees it and reads it back."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from foveate.engine.reader import Options
from foveate.errors import InputError, OptionError
from foveate.pages.mode import MODES
from foveate.pages.tokenizer import Tokenizer
from foveate.pages.views import make_views
from foveate.serving import web_view
from foveate.serving.drawing import Upload
from foveate.serving.errors import Refusal
from foveate.serving.service import Ask, Call, Done, Piece, Service, Started
from foveate.serving.streams import HEARTBEAT, PING, event_bytes

if TYPE_CHECKING:
    from foveate.pages.render import RenderedPage

AGES = ("large", "base", "small", "tiny")  # the youngest first
SIDE = 1280  # pixels of a remembered page: the most that the youngest age sees
MOST_PAGES = 6
MOST_CHARACTERS = 20_000
MARGIN = 64  # pixels
_RENDERING = threading.Lock()  # the renderer's stores of glyphs are one for the process

_SAMPLES = Path(__file__).parent / "web" / "samples"
_TEXTS = (
    ("A few words", 150, "words.txt"),
    ("A paragraph", 72, "paragraph.txt"),
    ("A talk", 34, "conversation.txt"),
)


class TextForm(BaseModel):
    """A text, and how large it is set."""

    text: str = Field(max_length=MOST_CHARACTERS)
    size: float = Field(72, ge=16, le=180, allow_inf_nan=False, description="pixels of the em")


class FadeForm(TextForm):
    """… and which of its pages is meant."""

    page: int = Field(1, ge=1, le=MOST_PAGES)


def about() -> dict[str, Any]:
    """What the tab must know."""
    samples = [
        {"title": title, "size": size, "text": (_SAMPLES / file).read_text(encoding="utf-8").strip()}
        for title, size, file in _TEXTS
    ]
    layouts = {mode: MODES[mode].layout(SIDE, SIDE) for mode in AGES}
    return {
        "modes": AGES,
        "side": SIDE,
        "costs": {mode: layout.vision_tokens for mode, layout in layouts.items()},
        "sides": {mode: layout.side for mode, layout in layouts.items()},
        "samples": samples,
    }


def rendered(form: FadeForm, tokenizer: Tokenizer) -> dict[str, Any]:
    """The pages of a text, and how every age sees one of them: the one that is meant, or else the last."""
    pages = _render(form, MOST_PAGES + 1)
    shown = pages[:MOST_PAGES][: form.page][-1]
    image = shown.image.convert("RGB")
    return {
        "pages": [_page(page, tokenizer) for page in pages[:MOST_PAGES]],
        "more": len(pages) > MOST_PAGES,
        "shown": shown.number,
        "pictures": {mode: web_view.seen_picture(make_views(image, MODES[mode]).whole) for mode in AGES},
    }


def page_image(form: FadeForm) -> BytesIO:
    """One page of a text as a PNG file."""
    pages = _render(form, form.page)
    if form.page > len(pages):
        raise OptionError(f"the text fills {len(pages)} pages: there is no page {form.page}")
    file = BytesIO()
    pages[form.page - 1].image.save(file, "PNG")
    return file


async def read_back(service: Service, upload: Upload, seconds: float) -> AsyncGenerator[bytes, None]:
    """The page read at every age at once; events of each age carry its mode."""
    news: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    ages = [asyncio.create_task(_age(service, upload, mode, seconds, news)) for mode in AGES]
    try:
        left = len(ages)
        while left:
            try:
                event = await asyncio.wait_for(news.get(), HEARTBEAT)
            except TimeoutError:
                yield PING
                continue
            if event is None:
                left -= 1
            else:
                yield event_bytes(event)
        await asyncio.gather(*ages)  # what nobody has foreseen is raised here
    finally:  # the asker may have left
        for age in ages:
            age.cancel()
        await asyncio.wait(ages)
    yield event_bytes({"type": "done"})


async def _age(
    service: Service, upload: Upload, mode: str, seconds: float, news: "asyncio.Queue[dict[str, Any] | None]"
) -> None:
    """Reads the page in one mode; what goes wrong there is told there, and the other ages go on."""
    options = Options(mode, "text", retries=0)
    growing = web_view.Growing("text", SIDE, SIDE)
    try:
        async with Call(service, Ask(upload, options, pieces=True, seconds=seconds)) as call:
            async for event in call:
                if isinstance(event, Started):
                    news.put_nowait({"type": "mode", "mode": mode})
                elif isinstance(event, Piece):
                    growing.add(event.text, event.confidence)
                    told = {"text": growing.text, "text_tokens": growing.tokens}
                    news.put_nowait({"type": "text", "mode": mode} | told)
                elif isinstance(event, Done):
                    news.put_nowait({"mode": mode} | _outcome(event))
    except (InputError, Refusal) as problem:
        message = problem.message if isinstance(problem, Refusal) else str(problem)
        news.put_nowait({"type": "failed", "mode": mode, "message": message})
    finally:
        news.put_nowait(None)


def _outcome(done: Done) -> dict[str, Any]:
    page = done.page
    if page.error is not None:
        return {"type": "failed", "message": page.error}
    facts = page.json()
    told = {name: facts[name] for name in ("vision_tokens", "text_tokens", "confidence", "seconds", "stop")}
    return {"type": "read", "text": page.text()} | told


def _render(form: TextForm, most: int) -> "list[RenderedPage]":
    try:
        from foveate.pages.render import Style, render
    except ImportError as problem:
        raise OptionError(
            f"text to pages needs {problem.name} on the server: pip install 'foveate[data]'"
        ) from problem
    margins = (MARGIN, MARGIN, MARGIN, MARGIN)
    with _RENDERING:
        return render(form.text, Style(SIDE, SIDE, margins, size=form.size), most)


def _page(page: "RenderedPage", tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "number": page.number,
        "text": page.text,
        "text_tokens": len(tokenizer.encode(page.text)),
        "missing": len(page.missing),
    }
