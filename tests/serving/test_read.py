"""/v1/read: a file in, a document out, whole or as it is read."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from foveate.document import Document
from foveate.engine.engine import Engine
from foveate.engine.sampling import Sampling
from tests.serving import live
from tests.serving.live import TEXT, Live, pdf, png, say, tiff


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live.serve(live.reader(), live.Settings(drawing_processes=1)) as running:
        yield running


def events(server: Live, file: bytes = b"", **fields: Any) -> list[tuple[str, Any]]:
    """Names and data of a stream's events."""
    answer = server.read(file, stream="true", **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_every_format(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)
    kinds = {"json": "application/json", "md": "text/markdown", "html": "text/html", "text": "text/plain"}
    answers = {kind: server.read(mode="tiny", format=kind) for kind in kinds}
    for kind, answer in answers.items():
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(kinds[kind])
        assert answer.headers["x-foveate-vision-tokens"] == "64"
    document = Document.from_json(answers["json"].text)
    assert (document.source, document.model, document.pages[0].raw) == ("page.png", "tiny", TEXT)
    assert answers["md"].text == document.markdown() + "\n"
    assert answers["html"].text == document.html()
    assert answers["text"].text == document.text() + "\n"
    assert "script-src" not in answers["html"].headers["content-security-policy"]


def test_the_same_as_the_reader(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of different modes in one batch, beside others, are those that `Reader.read` reads alone."""
    asked = [
        {"mode": "tiny", "max_tokens": "6"},
        {"mode": "small", "max_tokens": "9", "temperature": "1.5", "seed": "7"},
        {"mode": "tiny", "max_tokens": "4", "prompt": "text"},
    ]
    answers: dict[int, str] = {}

    def ask(index: int) -> None:
        answers[index] = server.read(png(seed=index), retries="0", **asked[index]).text

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, how in enumerate(asked):
        alone = live.reader().read(
            png(seed=index),
            mode=how["mode"],
            max_tokens=int(how["max_tokens"]),
            prompt=how.get("prompt", "markdown"),
            sampling=Sampling(float(how.get("temperature", 0)), seed=int(how.get("seed", 0))),
            retries=0,
        )
        page = Document.from_json(answers[index]).pages[0]
        assert (page.raw, page.text_tokens) == (alone.pages[0].raw, alone.pages[0].text_tokens)


def test_pages_as_events(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)
    found = events(server, pdf(2), mode="tiny", format="md", words="true", images="true")
    names = [name for name, _ in found]
    assert names[0] == "document" and found[0][1]["pages"] == [1, 2] and names[-1] == "done"
    for number in (1, 2):
        (start,) = [data for name, data in found if name == "page_start" and data["page"] == number]
        assert (start["mode"], start["vision_tokens"], start["attempt"]) == ("tiny", 64, 1)
        assert start["image"].startswith("data:image/jpeg;base64,")
        pieces = [data for name, data in found if name == "piece" and data["page"] == number]
        assert "".join(piece["text"] for piece in pieces) == TEXT
        assert {piece["confidence"] for piece in pieces} == {0.5}
        (done,) = [data for name, data in found if name == "page" and data["page"]["number"] == number]
        assert done["markdown"] == TEXT
        spans = [TEXT[word["start"] : word["end"]] for word in done["words"]]
        assert spans == TEXT.split() and all(w["confidence"] == pytest.approx(0.5) for w in done["words"])
    last = found[-1][1]
    assert last["usage"]["pages"] == 2 and last["usage"]["vision_tokens"] == 128
    assert last["content"] == f"<!-- page 1 -->\n\n{TEXT}\n\n<!-- page 2 -->\n\n{TEXT}\n"


def test_a_page_that_is_read_again(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)
    found = events(server, mode="tiny", max_tokens="3")
    starts = [data for name, data in found if name == "page_start"]
    assert [(start["mode"], start["attempt"]) for start in starts] == [("tiny", 1), ("small", 2)]
    assert found[-1][1]["usage"]["text_tokens"] == 6, "both attempts are counted"


def test_a_broken_page_beside_others(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)
    document = Document.from_json(server.read(tiff(3, damaged=[2]), "scan.tif", mode="tiny").text)
    assert [page.stop for page in document.pages] == ["end", "error", "end"]
    assert str(document.pages[1].error).startswith("scan.tif: a TIFF that is damaged")
    answer = server.read(tiff(1, damaged=[1]), "scan.tif", stream="true")
    assert answer.status_code == 422, "nothing can be read: no stream begins"
    assert answer.json()["error"]["code"] == "damaged_file"


def test_a_range_of_pages(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)
    document = Document.from_json(server.read(pdf(4), "a.pdf", mode="tiny", pages="3,1").text)
    assert [page.number for page in document.pages] == [3, 1]


@pytest.mark.parametrize("stream", ["true", "false"])
def test_who_leaves_is_forgotten(server: Live, monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    """The pages of a client that has gone leave the batch, streamed or not."""
    stepped, go = threading.Semaphore(0), threading.Event()
    step = Engine.step

    def slow(engine: Engine) -> Any:
        stepped.release()
        go.wait(10)
        return step(engine)

    monkeypatch.setattr(Engine, "step", slow)
    fields = {"mode": "tiny", "stream": stream, "max_tokens": "3000", "retries": "0"}
    with live.connection(server, "/v1/read", {"file": png()}, fields):
        assert stepped.acquire(timeout=10), "the page is in the batch"
    go.set()
    live.wait_for(lambda: not server.service.gate.running and not server.service.network._sitting.load)
