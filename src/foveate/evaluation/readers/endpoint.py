"""A server that speaks OpenAI's way: vLLM, SGLang, llama.cpp, foveate's own, or a service.

The key, where one is needed, is the environment's OPENAI_API_KEY; it is sent to the given URL only.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import time
import urllib.error
import urllib.request
from typing import Any, Self
from urllib.parse import urlsplit

from PIL import Image

from foveate.errors import FoveateError, OptionError
from foveate.evaluation.readers.protocol import AUTO, ReaderOptions, Reading
from foveate.pages.prompts import IMAGE, resolve_prompt

MAX_TOKENS = 8192
MOST_BYTES = 1 << 26  # of an answer
KEY = "OPENAI_API_KEY"
_STOPS = {"stop": "end", "length": "length"}


class Endpoint:
    """Sends each page as a data URL with the prompt."""

    def __init__(self, url: str, model: str, options: ReaderOptions) -> None:
        self.name = f"openai:{url}"
        self._url, self._model, self._options = url, model, options
        self._prompt = resolve_prompt(options.prompt).replace(IMAGE, "").strip()

    @classmethod
    def open(cls, place: str, options: ReaderOptions) -> Self:
        """Asks the server for its first model when none is named. Raises `OptionError`."""
        url = place.rstrip("/")
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise OptionError(f"{place!r} is no endpoint: write it like openai:http://localhost:8000/v1")
        try:
            model = options.model or _ask(f"{url}/models", None, options.timeout)["data"][0]["id"]
        except _Refused as problem:
            raise OptionError(f"{url} does not answer ({problem}): start the server first") from problem
        except (LookupError, TypeError) as problem:
            raise OptionError(f"{url} names no model: give its name with --model") from problem
        return cls(url, model, options)

    def read(self, image: Image.Image, mode: str = AUTO, *, page: str = "") -> Reading:
        """What the server answers. `mode` is left to the server."""
        started = time.perf_counter()
        try:
            answer = _ask(f"{self._url}/chat/completions", self._question(image), self._options.timeout)
            text, stop, written = _told(answer)
        except _Refused as problem:
            error = f"{self._url}: {problem}"
            return Reading("", time.perf_counter() - started, stop="error", error=error)
        return Reading(text, time.perf_counter() - started, written, stop=stop)

    def _question(self, image: Image.Image) -> dict[str, Any]:
        image.convert("RGB").save(picture := io.BytesIO(), "PNG")
        data = base64.b64encode(picture.getvalue()).decode("ascii")
        content = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
            {"type": "text", "text": self._prompt},
        ]
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": self._options.max_tokens or MAX_TOKENS,
        }

    def versions(self) -> dict[str, str]:
        return {"model": self._model}


class _Refused(FoveateError):
    """The server did not answer, or not with JSON."""


def _told(answer: Any) -> tuple[str, str, int | None]:
    """The text of an answer, why it ended, and its tokens. Raises `_Refused`."""
    try:
        choice = answer["choices"][0]
        text, reason = choice["message"]["content"] or "", choice.get("finish_reason") or "stop"
        written = (answer.get("usage") or {}).get("completion_tokens")
    except (LookupError, TypeError, AttributeError) as problem:
        raise _Refused(f"the answer is no chat completion ({problem})") from problem
    if not isinstance(text, str):
        raise _Refused("the answer's content is no text")
    if reason not in _STOPS:
        raise _Refused(f"the answer ended with {reason}")
    return text.strip(), _STOPS[reason], written if isinstance(written, int) else None


def _ask(url: str, question: dict[str, Any] | None, timeout: float) -> Any:
    """The JSON that the server answers with; a question is posted, without one it is fetched."""
    body = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    if os.environ.get(KEY):
        # Not to where a redirection may lead.
        request.add_unredirected_header("Authorization", f"Bearer {os.environ[KEY]}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(_whole(answer, time.monotonic() + timeout))
    except urllib.error.HTTPError as problem:
        with problem:
            said = problem.read(400).decode("utf-8", "replace")
        raise _Refused(f"HTTP {problem.code}: {' '.join(said.split())}") from problem
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise _Refused(str(problem) or type(problem).__name__) from problem


def _whole(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    """All that comes, or the most that is taken; each piece alone may come in time and all of them late."""
    parts, length = [], 0
    while length < MOST_BYTES and (part := answer.read1(1 << 16)):
        parts.append(part)
        length += len(part)
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
    return b"".join(parts)
