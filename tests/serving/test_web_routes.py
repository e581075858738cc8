"""The routes of the web page: what everybody may fetch, looking, reading block by block, fading."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from foveate.document import Document, Page
from foveate.engine import engine as engine_module
from foveate.pages.mode import MODES
from foveate.serving.keys import Keys, hash_key
from foveate.serving.settings import Settings
from foveate.serving.web_view import block_views
from tests.serving import live
from tests.serving.live import Live, pdf, png
from tests.serving.web_server import MARKUP, Script, scripted

WEB = Path(live.__file__).parents[2] / "src" / "foveate" / "serving" / "web"
KEY = "a key of the tests"


@pytest.fixture(scope="module")
def reader() -> tuple[Any, Script]:
    return scripted()


@pytest.fixture(scope="module")
def server(reader: tuple[Any, Script]) -> Iterator[Live]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "choose", reader[1].choose)
        with live.serve(
            reader[0], Settings(drawing_processes=1, max_bytes=1_000_000, max_pages=5)
        ) as running:
            yield running


@pytest.fixture(scope="module")
def locked(reader: tuple[Any, Script]) -> Iterator[Live]:
    with live.serve(reader[0], Settings(keys=Keys((("me", hash_key(KEY)),)), drawing_processes=1)) as running:
        yield running


def post(server: Live, path: str, file: bytes | None = None, **fields: Any) -> httpx.Response:
    with server.client() as client:
        files = None if file is None else {"file": ("page.pdf", file)}
        return client.post(f"/v1/page/{path}", files=files, data=fields)


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    parts = [part for part in answer.text.split("\n\n") if part and not part.startswith(":")]
    assert all(part.startswith("data: ") for part in parts), answer.text[-500:]
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# What is served to everybody


def test_the_page_and_all_that_it_names_are_there(server: Live) -> None:
    with server.client() as client:
        page = client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        names = set(re.findall(r'(?:href|src)="(web/[^"]+)"', page.text))
        modules = {f"web/{file.name}" for file in WEB.glob("*.js")}
        for module in modules:
            found = re.findall(r'from "\./([^"]+)"', client.get(f"/{module}").text)
            names |= {f"web/{name}" for name in found}
        assert {"web/style.css", "web/app.js", "web/desk.js", "web/fading.js"} <= names
        assert modules <= names, "a module that nobody imports"
        for name in names:
            answer = client.get(f"/{name}")
            assert answer.status_code == 200, name
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.get("/web/app.js").headers["content-type"].startswith("text/javascript")
        for sample in client.get("/web/api/about").json()["samples"]:
            assert client.get(f"/web/samples/{sample['file']}").status_code == 200
            assert client.get(f"/web/samples/{sample['picture']}").status_code == 200


def test_a_known_file_is_not_sent_again(server: Live) -> None:
    with server.client() as client:
        tag = client.get("/web/app.js").headers["etag"]
        again = client.get("/web/app.js", headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get("/web/app.js", headers={"if-none-match": '"old"'}).status_code == 200


@pytest.mark.parametrize(
    "path", ["../app.py", "%2e%2e/app.py", "samples/../../app.py", "/etc/passwd", "", "samples", "App.js"]
)
def test_nothing_else_is_served(server: Live, path: str) -> None:
    with server.client() as client:
        assert client.get(f"/web/{path}").status_code == 404


def test_the_page_needs_no_other_host_and_no_unsafe_markup() -> None:
    for file in [*WEB.glob("*.js"), *WEB.glob("*.css"), *WEB.glob("*.html"), *WEB.glob("*.svg")]:
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", text), file
        for forbidden in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "@import",
        ):
            assert forbidden not in text, (file, forbidden)
    page = (WEB / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son[a-z]+=|\sstyle=|<style|javascript:", page)
    assert page.count("<script") == 2 and 'sandbox=""' in page


def test_ids_and_labels_of_the_page_fit_together() -> None:
    page = (WEB / "index.html").read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    meant = re.findall(r'\b(?:for|aria-labelledby|aria-controls|aria-describedby)="([^"]+)"', page)
    assert set(meant) <= set(ids)
    for file in WEB.glob("*.js"):
        used = set(re.findall(r'\$\("([^"]+)"\)', file.read_text(encoding="utf-8")))
        assert used <= set(ids), file


def test_the_policy_knows_the_style_of_our_documents(server: Live) -> None:
    with server.client() as client:
        policy = client.get("/").headers["content-security-policy"]
    page = Page(1, 10, 10, ())
    (style,) = re.findall("<style>(.*?)</style>", Document("some.pdf", (page,)).html(), re.DOTALL)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert "unsafe" not in policy and "require-trusted-types-for 'script'" in policy


def test_about(server: Live) -> None:
    with server.client() as client:
        about = client.get("/web/api/about").json()
    assert about["model"] == "scripted" and about["keys"] is False
    assert [mode["name"] for mode in about["modes"]] == list(MODES)
    assert about["limits"] == {"bytes": 1_000_000, "pages": 5, "tokens": None}
    assert about["fade"]["modes"] == ["large", "base", "small", "tiny"]
    assert about["fade"]["costs"] == {"large": 400, "base": 256, "small": 100, "tiny": 64}
    assert about["fade"]["sides"] == {"large": 1280, "base": 1024, "small": 640, "tiny": 512}
    assert all(sample["text"] for sample in about["fade"]["samples"])


def test_a_key_is_asked_for_where_there_are_keys(locked: Live) -> None:
    with locked.client() as client:
        assert client.get("/").status_code == 200
        assert client.get("/web/api/about").json()["keys"] is True
        for path in ("look", "read", "write", "render", "fade"):
            assert client.post(f"/v1/page/{path}").status_code == 401, path
    with locked.client(KEY) as client:
        answer = client.post("/v1/page/look", files={"file": ("page.png", png())})
        assert [event["type"] for event in events(answer)] == ["document", "page", "done"]


# Looking


def test_a_look_tells_sizes_and_prices(server: Live) -> None:
    document, page, done = events(post(server, "look", png(300, 400)))
    assert document == {"type": "document", "count": 1, "numbers": [1]}
    assert (page["width"], page["height"], page["auto"]) == (300, 400, "tiny")
    assert page["costs"]["tiny"]["vision_tokens"] == 64 and page["costs"]["large"]["vision_tokens"] == 400
    assert page["picture"].startswith("data:image/jpeg;base64,")
    assert done == {"type": "done"}


def test_a_look_at_some_pages(server: Live) -> None:
    found = events(post(server, "look", pdf(4), pages="2-3"))
    assert found[0] == {"type": "document", "count": 4, "numbers": [2, 3]}
    assert [event["number"] for event in found[1:-1]] == [2, 3]


def test_a_look_at_what_is_no_document(server: Live) -> None:
    assert code(post(server, "look", b"PK\3\4 something")) == (415, "unsupported_format")
    assert code(post(server, "look", b"%PDF-1.7 and no more")) == (422, "damaged_file")
    assert code(post(server, "look", pdf(2), pages="9")) == (400, "bad_pages")
    assert code(post(server, "look", pdf(6))) == (413, "too_large")
    assert code(post(server, "look", pdf(6), pages="1-5,6")) == (413, "too_large")
    assert events(post(server, "look", pdf(6), pages="2-4"))[0]["count"] == 6
    assert code(post(server, "look")) == (400, "bad_request")
    assert post(server, "look", b"\0" * 1_500_000).status_code == 413


# Reading


def test_blocks_arrive_and_add_up(server: Live) -> None:
    start, page, *news, read, done = events(post(server, "read", png(512, 512), mode="tiny"))
    assert start == {"type": "start", "numbers": [1], "model": "scripted"}
    assert (page["mode"], page["vision_tokens"]) == ("tiny", 64) and page["picture"].startswith("data:")
    shown: list[Any] = []
    for event in news:
        assert event["type"] == "text" and event["from"] <= len(shown)
        shown = shown[: event["from"]] + event["blocks"]
    assert read["type"] == "read" and read["stop"] == "end"
    assert [block["kind"] for block in read["blocks"]] == ["title", "text", "table"]
    assert shown == read["blocks"][: len(shown)] or shown[:-1] == read["blocks"][: len(shown) - 1]
    assert {word for block in read["blocks"] for word, *_ in block["doubts"]} == {"picture"}
    document = Document.from_dict(done["document"])
    assert document.pages[0].raw == MARKUP and done["markdown"] == document.markdown()
    assert done["html"] == document.html() and "<img" not in done["html"]
    plain = block_views(document.pages[0].raw, 512, 512, "markdown")
    same = ("kind", "boxes", "nodes", "markdown")
    assert [[b[name] for name in same] for b in plain] == [[b[name] for name in same] for b in read["blocks"]]


def test_pictures_that_the_browser_has_are_not_sent(server: Live) -> None:
    found = events(post(server, "read", pdf(3), mode="tiny", pages="1-2", seen="1"))
    pictures = {event["number"]: "picture" in event for event in found if event["type"] == "page"}
    assert pictures == {1: False, 2: True}


def test_reading_as_one_cannot(server: Live) -> None:
    assert code(post(server, "read", png(), mode="huge")) == (400, "unknown_mode")
    assert code(post(server, "read", png(), prompt="locate")) == (400, "unknown_prompt")
    assert code(post(server, "read", b"<svg></svg>")) == (415, "unsupported_format")
    assert post(server, "read", png(), temperature="hot").status_code == 400


def test_a_broken_page_does_not_stop_the_others(server: Live) -> None:
    found = events(post(server, "read", live.tiff(3, damaged=[2]), mode="tiny"))
    assert [event["number"] for event in found if event["type"] == "failed"] == [2]
    assert sorted(event["number"] for event in found if event["type"] == "read") == [1, 3]
    assert [page["stop"] for page in found[-1]["document"]["pages"]] == ["end", "error", "end"]


def test_a_document_of_the_history_is_written_anew(server: Live) -> None:
    done = events(post(server, "read", png(), mode="tiny"))[-1]
    with server.client() as client:
        again = client.post("/v1/page/write", json=done["document"])
        assert again.json() == {name: done[name] for name in ("document", "markdown", "html")}
        smuggled = json.dumps(done["document"]).replace('"source": "page.pdf"', '"source": "\\ud800"')
        box = json.dumps(done["document"]).replace('"pixels": [', '"pixels": [NaN, ', 1)
        seconds = re.sub('"seconds": [0-9.e-]+', '"seconds": NaN', json.dumps(done["document"]))
        for nonsense in (
            smuggled,
            box,
            seconds,
            "",
            "[]",
            "{}",
            '{"schema": "foveate.document", "version": 1}',
            "[" * 100_000,
        ):
            assert client.post("/v1/page/write", content=nonsense).status_code == 422, nonsense[:30]


# Fading


def test_text_becomes_pages(server: Live) -> None:
    pytest.importorskip("uharfbuzz")
    text = "One two three. " * 60
    answer = post(server, "render", text=text, size="90", page="2").json()
    assert len(answer["pages"]) > 1 and answer["shown"] == 2
    assert answer["more"] is False
    assert " ".join(" ".join(page["text"] for page in answer["pages"]).split()) == text.strip()
    assert answer["pages"][0]["text_tokens"] > 20 and answer["pages"][0]["missing"] == 0
    assert set(answer["pictures"]) == {"large", "base", "small", "tiny"}
    assert answer["pictures"]["tiny"].startswith("data:image/png;base64,")
    assert post(server, "render", text="One. Two.", size="90", page="6").json()["shown"] == 1, "the last one"
    assert post(server, "render", text="x" * 20_001).status_code == 400
    assert post(server, "render", text="x", size="3").status_code == 400


def test_a_page_is_read_back_at_every_age(server: Live) -> None:
    pytest.importorskip("uharfbuzz")
    found = events(post(server, "fade", text="A page becomes a picture.", size="120"))
    reads = {event["mode"]: event for event in found if event["type"] == "read"}
    assert set(reads) == {"large", "base", "small", "tiny"}
    assert {mode: event["vision_tokens"] for mode, event in reads.items()} == {
        mode: MODES[mode].layout(1280, 1280).vision_tokens for mode in reads
    }
    assert all(event["text"].startswith("Pages\n") for event in reads.values()), "what the script says"
    begun = [event["mode"] for event in found if event["type"] == "mode"]
    assert sorted(begun) == sorted(reads) and found[-1] == {"type": "done"}
    first_read = next(index for index, event in enumerate(found) if event["type"] == "read")
    assert all(event["type"] != "mode" for event in found[first_read:]), "all ages are read at once"
    assert code(post(server, "fade", text="short", size="90", page="3")) == (400, "bad_option")


def test_nothing_is_left_behind(reader: tuple[Any, Script], tmp_path: Path) -> None:
    with live.serve(reader[0], Settings(work=tmp_path, drawing_processes=1)) as server:
        events(post(server, "look", png()))
        assert code(post(server, "look", b"nothing")) == (415, "unsupported_format")
        assert live.files_below(tmp_path) == []
