"""Strangers of the worse kind: each gets an honest 4xx, and nothing is left behind."""

import json
import socket
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foveate.errors import SourceTooLarge
from foveate.pages import apart
from foveate.serving.keys import Keys, hash_key
from foveate.serving.settings import Settings
from tests.serving import live
from tests.serving.live import TEXT, Live, chat, data_url, image, pdf, png, refused, say

SETTINGS = Settings(
    drawing_processes=1, max_bytes=2_000_000, max_pixels=1_000_000, max_pages=3, idle_timeout=1
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def server(work: Path) -> Iterator[Live]:
    with live.serve(live.reader(), replace(SETTINGS, work=work / "work")) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_left(server: Live, work: Path) -> Iterator[None]:
    yield
    live.wait_for(lambda: not server.service.gate.running)
    assert live.files_below(work) == [], "a file was left"
    assert [path.name for path in work.iterdir()] == ["work"]


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\boot.ini",
        "/root/.ssh/authorized_keys",
        "a\0b.png",
        "\r\nX: y",
        "." * 300,
        "",
    ],
)
def test_names(server: Live, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    say(monkeypatch, TEXT)
    head = f'--x\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = (
        head.encode()
        + png()
        + b'\r\n--x\r\ncontent-disposition: form-data; name="mode"\r\n\r\ntiny\r\n--x--\r\n'
    )
    with server.client() as client:
        kind = {"content-type": "multipart/form-data; boundary=x"}
        answer = client.post("/v1/read", content=body, headers=kind)
    if answer.status_code == 200:
        shown = answer.json()["source"]
        assert not set(shown) & set("/\\\0\r\n") and shown.strip(". ") and len(shown) <= 120
    else:
        assert answer.status_code == 400


def test_a_body_that_says_it_is_large(server: Live) -> None:
    """Refused by its header, before a byte of it is read."""
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as stream:
        stream.sendall(b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
        answer = stream.makefile("rb").readline()
    assert b" 413 " in answer


def test_a_body_that_is_large(server: Live) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(40):
            sent += 1 << 18
            yield bytes(1 << 18)

    with server.client() as client:
        kind = {"content-type": "multipart/form-data; boundary=x"}
        refused(client.post("/v1/read", content=endless(), headers=kind), 413, "too_large")
    assert server.service.settings.max_body < sent


def test_a_document_over_the_limit(server: Live) -> None:
    refused(server.read(bytes(2_000_001)), 413, "too_large")
    refused(chat(server, image(data_url(bytes(2_000_001)))), 413, "too_large")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_pixel_bombs(server: Live) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100_000)))
    assert "60000 x 60000 pixels are over the limit" in refused(server.read(bomb), 413, "too_large")
    small = struct.pack(">IIBBBBB", 100, 100, 8, 2, 0, 0, 0)
    inflating = zlib.compress(bytes(50_000_000), 9)  # text of 50 MB beside a small picture
    text = chunk(b"zTXt", b"Comment\0\0" + inflating)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", small) + text + chunk(b"IDAT", b"")
    assert server.read(bomb).status_code in (413, 422)


def test_zip_bombs(server: Live) -> None:
    refused(server.read(b"PK\x03\x04" + bytes(1000), "bomb.docx"), 415, "unsupported_format")
    refused(server.read(b"\x1f\x8b" + bytes(1000), "bomb.pdf.gz"), 415, "unsupported_format")


def test_a_pdf_that_inflates(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """42 MB of drawing in 60 kB take minutes: the process is ended, and the next one is well."""
    say(monkeypatch, TEXT)
    assert server.read(mode="tiny").status_code == 200, "a drawing process is there"
    stream = zlib.compress(b"0 0 m 9 9 l S " * 3_000_000, 9)
    with monkeypatch.context() as patch:
        patch.setattr(server.service.drawing, "_settings", replace(SETTINGS, drawing_seconds=1.5))
        assert "takes more than 1.5 s" in refused(server.read(bare_pdf(stream), "bomb.pdf"), 413, "too_large")
    assert server.read(mode="tiny").status_code == 200


def bare_pdf(stream: bytes) -> bytes:
    """A PDF of one page with a compressed content stream; readers find its objects without a table."""
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents 4 0 R>>endobj\n4 0 obj<</Length "
        + str(len(stream)).encode()
        + b"/Filter/FlateDecode>>stream\n"
        + stream
        + b"\nendstream endobj\ntrailer<</Root 1 0 R>>"
    )


def test_half_a_pdf(server: Live) -> None:
    whole = pdf(1)
    assert "half.pdf" in refused(server.read(whole[: len(whole) // 2], "half.pdf"), 422, "damaged_file")
    refused(server.read(b"%PDF-1.7\n", "head.pdf"), 422, "damaged_file")


def test_too_many_pages(server: Live) -> None:
    assert "choose some, such as 1-3" in refused(server.read(pdf(4), "a.pdf"), 413, "too_large")
    refused(server.read(pdf(2), "a.pdf", pages="9"), 400, "bad_pages")
    refused(server.read(pdf(2), "a.pdf", pages="1-99999999999"), 400, "bad_pages")


def test_a_file_that_kills_its_process(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash of the drawing process is a 422; the next file gets a new process."""
    say(monkeypatch, TEXT)
    exchange = live.drawing._exchange

    async def crashing(process: Any, line: bytes) -> Any:
        process.kill()
        return await exchange(process, line)

    with monkeypatch.context() as patch:
        patch.setattr(live.drawing, "_exchange", crashing)
        refused(server.read(), 422, "damaged_file")
    assert server.read(mode="tiny").status_code == 200


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("", 400),
        ("data:", 400),
        ("data:image/png,abc", 400),
        ("data:image/png;base64,", 400),
        ("data:image/png;base64,&&&&", 422),
        ("data:image/png;base64,QUJD", 415),
        ("data:text/html;base64,PGh0bWw+", 415),
        ("data:" + "a" * 5000, 400),
        ("file:///etc/passwd", 400),
        ("ftp://example.org/a.png", 400),
        ("http://127.0.0.1/a.png", 400),
        ("/etc/passwd", 400),
    ],
)
def test_addresses_that_hold_nothing(server: Live, url: str, status: int) -> None:
    answer = chat(server, image(url))
    assert answer.status_code == status, answer.text
    assert "root:" not in answer.text


def test_bodies_that_are_no_chat(server: Live) -> None:
    with server.client() as client:
        post = lambda body: client.post(  # noqa: E731
            "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
        )
        for body in (
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"messages": []}',
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"a":' * 50_000,
        ):
            assert 400 <= post(body).status_code < 500, body[:20]
        surrogate = json.dumps({"messages": [{"role": "user", "content": "\ud800"}], "model": "\udfff"})
        assert 400 <= post(surrogate.encode()).status_code < 500
    refused(chat(server, {"type": "text", "text": "hello"}), 400, "bad_option")
    refused(chat(server, image(data_url(png())), model="gpt-4o"), 404, "model_not_found")
    refused(chat(server, image(data_url(png())), prompt="word"), 400, "unknown_prompt")
    refused(chat(server, image(data_url(png())), mode="huge"), 400, "unknown_mode")
    refused(chat(server, *[image(data_url(png()))] * 65), 400, "bad_option")
    refused(chat(server, image(data_url(png())), n=2), 400, "bad_request")
    refused(chat(server, {"type": "file", "file": {"file_id": "file-of-another"}}), 404, "no_such_file")


def test_a_slow_client(server: Live) -> None:
    """Half a body and then nothing: an answer after the idle time, and a closed connection."""
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as stream:
        stream.settimeout(20)
        stream.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        answer = stream.makefile("rb").readline()
    assert b" 408 " in answer


def test_request_ids(server: Live) -> None:
    with server.client() as client:
        assert client.get("/healthz", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
        odd = client.get("/healthz", headers={"x-request-id": "x" * 200}).headers["x-request-id"]
        assert len(odd) == 32


def test_the_drawing_process_keeps_to_the_limits(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(png())
    task = {"path": str(tmp_path / "a"), "name": "a", "password": None, "pages": None}
    limits = {"bytes": 10**6, "pixels": 10, "pages": None}
    with pytest.raises(SourceTooLarge):
        apart.draw(task | {"limits": limits, "number": 1, "dpi": 144})
    (tmp_path / "a").unlink()


# --- keys

ANN = Keys((("ann", hash_key("ann's long key")),))


def test_wrong_keys(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)
    monkeypatch.setattr(server.service, "settings", replace(server.service.settings, keys=ANN))
    with server.client() as client:
        body = {"files": {"file": png()}, "data": {"mode": "tiny"}}
        for header in (
            None,
            "",
            "Bearer",
            "Bearer wrong",
            "Basic ann's long key",
            "bearer ann's long kez",
            "Bearer é",
        ):
            headers = {} if header is None else {"authorization": header.encode()}
            answer = client.post("/v1/read", headers=headers, **body)  # type: ignore[arg-type]
            refused(answer, 401, "invalid_api_key")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/models").status_code == client.get("/v1/nothing").status_code == 401
        for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        right = {"authorization": "bearer ann's long key"}
        assert client.post("/v1/read", headers=right, **body).status_code == 200  # type: ignore[arg-type]
