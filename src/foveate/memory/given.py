"""A memory's content as messages in OpenAI's format: recent turns as text, older pages as pictures.

    client.chat.completions.create(model="gpt-4o", messages=[*memory.to_messages(8000), question])

What fits is `context.build`'s choice. A picture cannot stand in a message of the assistant, so pages are
given in messages of the user, behind a line that says whose they are.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from foveate.errors import OptionError
from foveate.memory.context import Piece, build
from foveate.memory.messages import FORMATS
from foveate.memory.providers import AUTO, get_provider

if TYPE_CHECKING:
    from foveate.memory.store import OpticalMemory

_SPEAKERS = ("user", "assistant")


def to_messages(
    memory: OpticalMemory,
    budget: int,
    format: str = "openai",
    *,
    provider: str = AUTO,
    model: str = "",
    recent: float = 0.5,
    blur: bool = True,
) -> list[dict[str, Any]]:
    """What of the memory fits into so many tokens, oldest first. Raises `OptionError`.

    `recent`: the share of the budget for text that is still kept; `blur`: older pages are given smaller,
    before any is left out.
    """
    if format not in FORMATS:
        raise OptionError(f"{format!r} is no format of messages: choose from {', '.join(FORMATS)}")
    if not 0 <= recent <= 1:
        raise OptionError(f"the share of recent text is {recent}: choose 0 to 1")
    chosen = get_provider(provider, model)
    context = build(
        memory,
        budget,
        form="images",
        blur=blur,
        text_budget=int(recent * budget),
        image_cost=lambda width, height: chosen.tokens(width, height),
    )
    detail = chosen.levels[0].detail
    messages = []
    for speaks, pieces in groupby(context.pieces, key=_speaker):
        content = [part for piece in pieces for part in _parts(piece, memory, speaks, detail)]
        if speaks == "assistant":
            content = [{"type": "text", "text": "\n\n".join(part["text"] for part in content)}]
        messages.append({"role": speaks, "content": content})
    return messages


def _speaker(piece: Piece) -> str:
    """Whose message a piece can stand in."""
    return piece.role if piece.kind == "text" and piece.role in _SPEAKERS else "user"


def _parts(piece: Piece, memory: OpticalMemory, speaks: str, detail: str) -> Iterator[dict[str, Any]]:
    if piece.kind == "text" and piece.role == speaks:
        yield {"type": "text", "text": piece.text or ""}
        return
    entry = memory.entry(piece.entries[0])
    numbers = f"{piece.entries[0]}" + (f" to {piece.entries[-1]}" if len(piece.entries) > 1 else "")
    whose = entry.source or entry.role
    if piece.kind != "page":
        what = "keywords of" if piece.kind == "keywords" else "from"
        yield {"type": "text", "text": f"[{what} entry {numbers}, {whose}] {piece.text or ''}"}
        return
    yield {"type": "text", "text": f"[entry {numbers}, {whose}]"}
    piece.image().convert("L").save(file := io.BytesIO(), "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
    yield {"type": "image_url", "image_url": {"url": url, "detail": detail} if detail else {"url": url}}
