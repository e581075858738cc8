"""Readers by name."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from foveate.errors import ModelError, OptionError, SourceNotFound
from foveate.evaluation.readers import ReaderOptions, get_reader
from foveate.evaluation.readers.programs import joined_lines

SENTENCE = "The quick brown fox jumps"


def page(text: str = SENTENCE) -> Image.Image:
    """Large letters on white."""
    image = Image.new("RGB", (640, 120), "white")
    font = ImageFont.load_default(36)
    ImageDraw.Draw(image).text((40, 35), text, "black", font)
    return image


@pytest.mark.parametrize("name", ["", "hf:", "predictions", "openai:", "tesseract:x"])
def test_names_without_their_half(name: str) -> None:
    with pytest.raises(OptionError, match="choose nano"):
        get_reader(name)


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        get_reader(str(tmp_path / "none"))


def test_blank_says_nothing() -> None:
    assert get_reader("blank").read(page()).text == ""


def test_nano_reads() -> None:
    reader = get_reader("nano", ReaderOptions(max_tokens=12))
    reading = reader.read(page(), "tiny")
    assert reader.name == "nano" and reading.vision_tokens == 64 and 0 < (reading.text_tokens or 0) <= 12
    assert reading.seconds > 0 and "torch" in reader.versions()
    assert reader.read(page(), "gigantic").stop == "error"


# A folder of predictions


@pytest.mark.parametrize(
    ("file", "asked"),
    [
        ("a.md", "a.png"),
        ("a.png.md", "a.png"),
        ("a.txt", "deep/a.png"),
        ("deep/a.md", "deep/a.png"),
        ("b_pg2_repeat1.md", "b.pdf#2"),
        ("b_pg1.md", "b.pdf#1"),
        ("b.md", "b.pdf#1"),
    ],
)
def test_files_of_predictions(tmp_path: Path, file: str, asked: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("read before")
    assert get_reader(f"predictions:{tmp_path}").read(page(), page=asked).text == "read before"


def test_predictions_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.md").write_text("secret")
    (tmp_path / "in" / "b.md").write_text("page one")
    reader = get_reader(f"predictions:{tmp_path / 'in'}")
    for asked in ("a.png", "../out.png", str(tmp_path / "out.png"), "b.pdf#2", ""):
        reading = reader.read(page(), page=asked)
        assert reading.stop == "error" and reading.text == "", asked
    with pytest.raises(SourceNotFound):
        get_reader("predictions:/nowhere")


# An endpoint


class Server(BaseHTTPRequestHandler):
    """Speaks a little of OpenAI's protocol; keeps what it was asked."""

    asked: list[Any] = []
    answer: dict[str, Any] = {}
    status = 200

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization"), None))
        self._send(200, {"data": [{"id": "tiny-model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, self.headers.get("Authorization"), body))
        self._send(self.status, self.answer)

    def _send(self, status: int, values: dict[str, Any]) -> None:
        content = json.dumps(values).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *what: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Server, "asked", [])
    monkeypatch.setattr(Server, "status", 200)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def answer(content: object, reason: str = "stop") -> dict[str, Any]:
    choice = {"message": {"content": content}, "finish_reason": reason}
    return {"choices": [choice], "usage": {"completion_tokens": 5}}


def test_an_endpoint_is_asked_with_the_page(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setattr(Server, "answer", answer(" # Text \n"))
    reader = get_reader(f"openai:{url}/", ReaderOptions(prompt="text", max_tokens=99))
    reading = reader.read(page())
    assert (reading.text, reading.stop, reading.text_tokens) == ("# Text", "end", 5)
    _, (path, key, body) = Server.asked
    assert path == "/v1/chat/completions" and key == "Bearer key"
    assert body["model"] == "tiny-model" and body["max_tokens"] == 99 and body["temperature"] == 0
    picture, words = body["messages"][0]["content"]
    assert picture["image_url"]["url"].startswith("data:image/png;base64,")
    assert words["text"] == "Free OCR."
    assert reader.versions() == {"model": "tiny-model"}


@pytest.mark.parametrize(
    ("given", "status", "stop"),
    [
        (answer("cut", "length"), 200, "length"),
        (answer(None), 200, "end"),
        (answer("x", "content_filter"), 200, "error"),
        (answer([{"type": "text", "text": "x"}]), 200, "error"),
        ([], 200, "error"),
        ({"error": "too hot"}, 503, "error"),
        ({"choices": []}, 200, "error"),
    ],
)
def test_what_an_endpoint_may_answer(
    url: str, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], status: int, stop: str
) -> None:
    monkeypatch.setattr(Server, "answer", given)
    monkeypatch.setattr(Server, "status", status)
    reading = get_reader(f"openai:{url}").read(page())
    assert reading.stop == stop
    assert stop != "error" or (reading.error and not reading.text)


def test_tokens_that_are_no_number_are_left_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "answer", answer("x") | {"usage": {"completion_tokens": float("nan")}})
    reading = get_reader(f"openai:{url}").read(page())
    assert (reading.text, reading.text_tokens) == ("x", None)


def test_an_answer_in_drops_ends_with_the_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(server: Server, status: int, values: dict[str, Any]) -> None:
        server.send_response(status)
        server.end_headers()
        with suppress(OSError):  # nobody listens any more
            for _ in range(40):
                server.wfile.write(b" ")
                time.sleep(0.05)

    reader = get_reader(f"openai:{url}", ReaderOptions(timeout=0.3))
    monkeypatch.setattr(Server, "_send", send)
    reading = reader.read(page())
    assert reading.stop == "error" and "timed out" in str(reading.error) and reading.seconds < 1.5


def test_the_key_does_not_follow_a_redirection(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setattr(Server, "status", 302)
    assert get_reader(f"openai:{url}").read(page()).stop == "error"
    assert [(path, key) for path, key, _ in Server.asked] == [
        ("/v1/models", "Bearer key"),
        ("/v1/chat/completions", "Bearer key"),
        ("/elsewhere", None),
    ]


def test_endpoints_that_are_none(url: str) -> None:
    for place in ("localhost:8000", "file:///etc/passwd", "http://"):
        with pytest.raises(OptionError, match="no endpoint"):
            get_reader(f"openai:{place}")
    with pytest.raises(OptionError, match="start the server"):
        get_reader("openai:http://127.0.0.1:9/v1", ReaderOptions(timeout=2))


# Programs


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs tesseract")
def test_tesseract_reads() -> None:
    reader = get_reader("tesseract")
    assert reader.read(page()).text == SENTENCE
    assert reader.versions()["tesseract"][0].isdigit()
    wrong = get_reader("tesseract", ReaderOptions(language="tlh"))
    assert wrong.read(page()).stop == "error"


@pytest.mark.slow
def test_rapidocr_reads() -> None:
    pytest.importorskip("rapidocr")
    reader = get_reader("rapidocr")
    reading = reader.read(page())
    assert reading.text.replace(" ", "") == SENTENCE.replace(" ", "") and (reading.confidence or 0) > 0.8
    assert reader.read(Image.new("RGB", (200, 200), "white")).text == ""


def box(left: float, top: float, width: float = 50, height: float = 10) -> Any:
    right, bottom = left + width, top + height
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def test_pieces_of_a_line_are_joined_from_left_to_right() -> None:
    boxes = [box(60, 11), box(0, 30), box(0, 10), box(60, 24)]
    assert joined_lines(boxes, ["b", "c", "a", "d"]) == "a b\nd\nc"
    assert joined_lines([], []) == ""
