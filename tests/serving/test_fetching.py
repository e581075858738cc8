"""Pictures from the web: only where they are allowed, and never from inside."""

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foveate.errors import OptionError
from foveate.serving import fetching
from foveate.serving.settings import Settings
from tests.serving import live
from tests.serving.live import TEXT, Live, chat, image, png, refused, say


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    settings = Settings(drawing_processes=1, max_bytes=2_000_000, allow_urls=True)
    with live.serve(live.reader(), settings) as running:
        yield running


PRIVATE = """127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 0.0.0.0 100.64.0.1 224.0.0.1
255.255.255.255 192.0.2.1 ::1 :: fe80::1 fc00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1
2002:7f00:1::"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_private_addresses(address: str) -> None:
    assert not fetching.is_public(address)


def test_public_addresses() -> None:
    for address in ("1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert fetching.is_public(address)


class Web:
    """A web server at a private address, which the tests may take for a public one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.headers["host"], self.path))
                status, headers, body = web.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        port = self.server.server_port
        monkeypatch.setattr(fetching, "PORTS", {"http": port, "https": 443})

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    running = Web(monkeypatch)
    yield running
    running.close()


NAMES = {"public.test": "127.0.0.1", "private.test": "127.0.0.2", "inside.test": "10.0.0.1"}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 is taken for a public address, and some names exist."""
    found = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **how: Any) -> Any:
        return found(NAMES.get(host, host), port, *args, **how)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetching, "is_public", lambda address: address == "127.0.0.1")


def test_a_picture_from_the_web(server: Live, web: Web, names: None, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)
    web.answers["/a.png?b=1"] = (200, {}, png())
    web.answers["/moved"] = (302, {"location": "/a.png?b=1"}, b"")
    for path in ("/a.png?b=1", "/moved"):
        answer = chat(server, image(f"http://public.test{path}"))
        assert answer.json()["choices"][0]["message"]["content"] == TEXT
    assert {host.partition(":")[0] for host, _ in web.asked} == {"public.test"}


def test_pictures_from_inside_are_not_fetched(server: Live, web: Web, names: None) -> None:
    web.answers["/in"] = (302, {"location": "http://inside.test/secret"}, b"")
    web.answers["/file"] = (302, {"location": "file:///etc/passwd"}, b"")
    web.answers["/round"] = (302, {"location": "/round"}, b"")
    web.answers["/large"] = (200, {}, bytes(2_000_001))
    web.answers["/empty"] = (200, {}, b"")
    for url in (
        "http://private.test/secret",
        "http://inside.test/secret",
        "http://[::ffff:7f00:2]/secret",
        "http://2130706434/secret",  # 127.0.0.2
        "http://public.test/in",
        "http://public.test/file",
        "http://public.test/round",
        "http://public.test/missing",
        "http://public.test/empty",
        "http://public.test:1/a.png",
        "http://user:word@public.test/a.png",
        "http://public.test/a b",
        "http://public.test/\r\nx: y",
        "http://no-such-name.invalid/a.png",
        "gopher://public.test/a",
        "http://",
        "http://[::1",
    ):
        assert chat(server, image(url)).status_code == 400, url
    refused(chat(server, image("http://public.test/large")), 413, "too_large")
    assert "/secret" not in [path for _, path in web.asked]


def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that turns private after the check gains nothing: the checked address is connected to."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    connected: list[Any] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (next(answers), port))]

    def connect(address: Any, timeout: float) -> Any:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(OptionError, match="cannot be reached"):
        fetching._fetch("http://turns.test/a.png", Path("never"), 1000, time.monotonic() + 5)
    assert connected == [("93.184.216.34", 80)]


def test_one_private_address_among_many_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(OptionError, match="private network"):
        fetching.public_address("mixed.test", 80)
