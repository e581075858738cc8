"""A real server on a free port, with a network that reads aloud what it is told to."""

import asyncio
import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import uvicorn
from PIL import Image
from torch import Tensor

from foveate.engine import engine as engine_module
from foveate.engine.reader import Reader
from foveate.model.source import ASSETS
from foveate.pages.tokenizer import Tokenizer
from foveate.serving import drawing as drawing
from foveate.serving.app import create_app
from foveate.serving.service import Service
from foveate.serving.settings import Settings
from tests.tiny import network, picture, with_decoder

TOKENIZER = Tokenizer.load(ASSETS / "nano")
CONFIG = replace(with_decoder(vocab_size=len(TOKENIZER) + 5), image_token_id=TOKENIZER.image)
TEXT = "The first words.\n\nAnd **more** of them, in “quotes”, 字."


def reader() -> Reader:
    """A network with random weights."""
    return Reader(network(CONFIG), TOKENIZER, "tiny")


def say(patch: pytest.MonkeyPatch, *texts: str) -> None:
    """Makes the network write the text of a request's `seed`, counted from 0, and end."""
    scripts = [[*TOKENIZER.encode(text), TOKENIZER.eos] for text in texts]

    def choose(
        logits: Tensor, histories: Sequence[Sequence[int]], samplings: Sequence[Any], *_: object
    ) -> tuple[Tensor, Tensor]:
        rows = zip(histories, samplings, strict=True)
        tokens = [scripts[sampling.seed % len(scripts)][len(history)] for history, sampling in rows]
        return torch.tensor(tokens), torch.full((len(tokens),), 0.5).log()

    patch.setattr(engine_module, "choose", choose)


@dataclass
class Live:
    """A server that runs."""

    url: str
    service: Service
    server: uvicorn.Server
    loop: asyncio.AbstractEventLoop

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def read(self, file: bytes = b"", name: str = "page.png", **fields: Any) -> httpx.Response:
        """POST /v1/read in one go."""
        with self.client() as client:
            return client.post("/v1/read", files={"file": (name, file or png())}, data=fields)


@contextmanager
def serve(reader: Reader, settings: Settings = Settings()) -> Iterator[Live]:  # noqa: B008 (frozen)
    """The real thing, in a thread."""
    app = create_app(reader, settings)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5, ws="none", access_log=False)
    )
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def run() -> None:
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        ready.set()
        await serving

    def thread() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(run())
        finally:
            ready.set()
            loop.close()

    worker = threading.Thread(target=thread)
    worker.start()
    try:
        assert ready.wait(30) and server.started
        yield Live(f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.service, server, loop)
    finally:
        server.should_exit = True
        worker.join(30)


def png(width: int = 300, height: int = 400, seed: int = 0) -> bytes:
    """A small page."""
    saved = BytesIO()
    picture(width, height, seed).save(saved, "PNG")
    return saved.getvalue()


def pdf(pages: int = 3) -> bytes:
    """A small PDF."""
    first, *others = (picture(300, 400, seed) for seed in range(pages))
    saved = BytesIO()
    first.save(saved, "PDF", save_all=True, append_images=others, resolution=144)
    return saved.getvalue()


def tiff(pages: int, damaged: Sequence[int] = ()) -> bytes:
    """A TIFF of several pages; those that are damaged (counted from 1) hold nonsense for pixels."""
    first, *others = (picture(300, 400, seed) for seed in range(pages))
    saved = BytesIO()
    first.save(saved, "TIFF", save_all=True, append_images=others, compression="tiff_adobe_deflate")
    data = bytearray(saved.getvalue())
    with Image.open(BytesIO(data)) as image:
        for number in damaged:
            image.seek(number - 1)
            start = image.tag_v2[273][0]  # type: ignore[attr-defined]
            data[start : start + 20] = b"\xff" * 20
    return bytes(data)


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def files_below(folder: Path) -> list[str]:
    """Names of all files, but the database's."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and "sqlite" not in p.name)


@contextmanager
def connection(
    server: Live, path: str, files: dict[str, bytes], fields: dict[str, str]
) -> Iterator[socket.socket]:
    """A request that has been sent and not been answered; leaving breaks the connection."""
    request = httpx.Request("POST", server.url + path, files=files, data=fields)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection(("127.0.0.1", request.url.port or 0)) as stream:
        stream.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
        yield stream


def wait_for(true: Callable[[], bool], seconds: float = 20) -> None:
    """Until it is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def refused(answer: Any, status: int, code: str) -> str:
    """The message of an honest refusal."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code and error["request_id"] == answer.headers["x-request-id"]
    assert "/work/" not in error["message"], "our paths are nobody's business"
    return str(error["message"])


def chat(server: Live, *parts: dict[str, Any], **fields: Any) -> Any:
    body = {"messages": [{"role": "user", "content": list(parts)}], "mode": "tiny", **fields}
    with server.client() as client:
        return client.post("/v1/chat/completions", json=body)


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}
