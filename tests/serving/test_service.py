"""Who may be in work, what a failure costs, and what is written down about it."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import torch

from foveate.engine.engine import Engine
from foveate.errors import OptionError
from foveate.serving import logs
from foveate.serving.keys import Keys, hash_key
from foveate.serving.settings import Settings
from tests.serving import live
from tests.serving.live import TEXT, Live, png, refused, say

SETTINGS = Settings(drawing_processes=1, max_running=2, max_queue=1, batch_size=4)


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live.serve(live.reader(), SETTINGS) as running:
        yield running


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The network stands still until the event is set."""
    say(monkeypatch, TEXT)
    go = threading.Event()
    step = Engine.step

    def held_step(engine: Engine) -> Any:
        go.wait(20)
        return step(engine)

    monkeypatch.setattr(Engine, "step", held_step)
    yield go
    go.set()


class Asking:
    """A request in a thread."""

    def __init__(self, server: Live, **fields: Any) -> None:
        self.answer: httpx.Response | None = None

        def ask() -> None:
            self.answer = server.read(mode="tiny", **fields)

        self._thread = threading.Thread(target=ask)
        self._thread.start()

    @property
    def status(self) -> int:
        self._thread.join(30)
        assert self.answer is not None
        return self.answer.status_code


def test_a_full_house(server: Live, held: threading.Event) -> None:
    gate = server.service.gate
    inside = [Asking(server), Asking(server)]
    live.wait_for(lambda: gate.running == 2)
    waiting = Asking(server)
    live.wait_for(lambda: gate.waiting == 1)
    for path in ("/v1/read", "/v1/jobs", "/v1/chat/completions"):
        with server.client() as client:
            answer = client.post(path, files={"file": png()})
        refused(answer, 429, "queue_full")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    with server.client() as client:
        assert client.get("/readyz").json()["waiting"] == 1
        numbers = client.get("/metrics").text
    assert 'foveate_refused_total{reason="queue"} 3.0' in numbers
    assert "foveate_requests_running 2.0" in numbers and "foveate_requests_waiting 1.0" in numbers
    held.set()
    assert [asking.status for asking in (*inside, waiting)] == [200, 200, 200]
    assert (gate.running, gate.waiting) == (0, 0)


def test_who_waits_may_leave(server: Live, held: threading.Event) -> None:
    gate = server.service.gate
    inside = [Asking(server), Asking(server)]
    live.wait_for(lambda: gate.running == 2)
    with live.connection(server, "/v1/read", {"file": png()}, {"mode": "tiny"}):
        live.wait_for(lambda: gate.waiting == 1)
    live.wait_for(lambda: gate.waiting == 0)
    held.set()
    assert [asking.status for asking in inside] == [200, 200]
    live.wait_for(lambda: gate.running == 0)


def test_one_key_leaves_room_for_others(held: threading.Event) -> None:
    keys = Keys((("ann", hash_key("ann's long key")), ("ben", hash_key("ben's long key"))))
    settings = replace(SETTINGS, keys=keys, max_per_key=1, max_running=8)
    with live.serve(live.reader(), settings) as server:
        ann, ben = server.client("ann's long key"), server.client("ben's long key")
        body: dict[str, Any] = {"files": {"file": png()}, "data": {"mode": "tiny"}}
        results: list[int] = []
        thread = threading.Thread(target=lambda: results.append(ann.post("/v1/read", **body).status_code))
        thread.start()
        live.wait_for(lambda: server.service.gate.running == 1)
        with server.client("ann's long key") as again:
            refused(again.post("/v1/read", **body), 429, "too_many_requests")
        other = threading.Thread(target=lambda: results.append(ben.post("/v1/read", **body).status_code))
        other.start()
        live.wait_for(lambda: server.service.gate.running == 2)
        held.set()
        thread.join()
        other.join()
        ann.close()
        ben.close()
    assert results == [200, 200]


def test_requests_share_batches(server: Live, held: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of two users, in two modes, are rows of the same steps."""
    rows: list[int] = []
    monkeypatch.setattr(server.service.metrics.rows, "observe", rows.append)
    askings = [Asking(server), Asking(server, temperature="1")]
    live.wait_for(
        lambda: server.service.network._sitting.load + server.service.network._commands.qsize() >= 2
    )
    held.set()
    assert [asking.status for asking in askings] == [200, 200]
    assert max(rows) == 2


def test_too_slow(monkeypatch: pytest.MonkeyPatch, held: threading.Event) -> None:
    with live.serve(live.reader(), replace(SETTINGS, timeout=0.5)) as server:
        refused(server.read(mode="tiny"), 504, "timeout")
        held.set()
        live.wait_for(lambda: not server.service.network._sitting.load)


def test_a_failure_of_the_network(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that are in the batch are told, and the next one is read."""
    say(monkeypatch, TEXT)
    for problem, status, code in (
        (RuntimeError("of page content: secret"), 500, "internal"),
        (torch.OutOfMemoryError("secret"), 503, "out_of_memory"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "step", lambda _, problem=problem: (_ for _ in ()).throw(problem))
            assert "secret" not in refused(server.read(mode="tiny"), status, code)
            with server.client() as client:
                form = {"mode": "tiny", "stream": "true"}
                streamed = client.post("/v1/read", files={"file": png()}, data=form).text
            assert '"code": "' + code in streamed and "secret" not in streamed
        assert server.read(mode="tiny").status_code == 200


def test_a_page_that_has_no_room(server: Live) -> None:
    refused(server.read(mode="tiny", prompt="many words " * 900 * 8), 400, "bad_request")
    message = refused(server.read(mode="tiny", prompt="a b " * 4900), 400, "bad_option")
    assert "the network has" in message


def test_the_log(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of JSON with ids and numbers; no content, no names of files, no keys."""
    stream = io.StringIO()
    before = {name: (list(log.handlers), log.propagate, log.level) for name, log in _loggers()}
    try:
        logs.set_up("info", stream)
        say(monkeypatch, "A secret word.")
        with server.client() as client:
            body: dict[str, Any] = {"files": {"file": ("secret.png", png())}, "data": {"mode": "tiny"}}
            headers = {"x-request-id": "abc", "authorization": "Bearer secret"}
            client.post("/v1/read?key=secret", headers=headers, **body)
            client.get("/secret")
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "step", lambda _: (_ for _ in ()).throw(RuntimeError("secret")))
            server.read(mode="tiny")
    finally:
        for name, (handlers, propagate, level) in before.items():
            log = logging.getLogger(name)
            log.handlers, log.propagate, log.disabled = handlers, propagate, False
            log.setLevel(level)
    assert "secret" not in stream.getvalue()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    first = next(line for line in lines if line.get("request_id") == "abc")
    expected = {"event": "request", "route": "/v1/read", "status": 200, "key": "anybody", "pages": 1}
    assert first.items() >= (expected | {"vision_tokens": 64}).items()
    assert next(line for line in lines if line["event"] == "network_failed")["exception"] == "RuntimeError"


def _loggers() -> list[tuple[str, logging.Logger]]:
    names = ("foveate", "uvicorn", "uvicorn.error", "uvicorn.access")
    return [(name, logging.getLogger(name)) for name in names]


def test_settings_out_of_their_range() -> None:
    for name, value in (("max_bytes", 0), ("timeout", -1.0), ("max_queue", -1), ("jobs_at_once", 0)):
        with pytest.raises(OptionError, match=name):
            Settings(**{name: value})  # type: ignore[arg-type]
    assert Settings(max_queue=0).max_queue == 0


def test_the_end_is_announced(held: threading.Event) -> None:
    """Once it is to stop, the server takes nothing new and ends what it has."""
    with live.serve(live.reader(), SETTINGS) as server:
        asking = Asking(server)
        live.wait_for(lambda: server.service.gate.running == 1)
        server.service.gate.closed = True
        with server.client() as client:
            refused(client.get("/readyz"), 503, "not_ready")
            answer = client.post("/v1/read", files={"file": png()})
        refused(answer, 503, "stopping")
        assert answer.headers["retry-after"]
        server.server.should_exit = True
        held.set()
        assert asking.status == 200


def test_the_page_of_the_api(server: Live) -> None:
    """Every operation, and nothing that another host would have to send."""
    with server.client() as client:
        answer = client.get("/docs")
        paths = client.get("/openapi.json").json()["paths"]
    assert all(f"<code>{path}</code>" in answer.text for path in paths)
    assert "<script" not in answer.text and "http://" not in answer.text and "https://" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
