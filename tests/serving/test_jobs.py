"""Jobs: page by page, across restarts, each owner's alone."""

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from foveate.document import Document
from foveate.engine.engine import Engine
from foveate.serving.keys import Keys, hash_key
from foveate.serving.settings import Settings
from tests.serving import live
from tests.serving.live import TEXT, pdf, say, tiff

KEYS = Keys((("ann", hash_key("ann's long key")), ("ben", hash_key("ben's long key"))))
SETTINGS = Settings(drawing_processes=1, batch_size=2)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(SETTINGS, work=tmp_path / "work")


@pytest.fixture
def speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)


def submit(client: httpx.Client, file: bytes, name: str = "long.pdf", **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", files={"file": (name, file)}, data={"mode": "tiny", **fields})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def finished(client: httpx.Client, id: str) -> dict[str, Any]:
    """The job once it is over."""
    job: dict[str, Any] = {}

    def over() -> bool:
        job.update(client.get(f"/v1/jobs/{id}").json())
        return job["status"] in ("done", "failed", "cancelled")

    live.wait_for(over, 40)
    return job


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The network stands still until the event is set."""
    go = threading.Event()
    step = Engine.step

    def held_step(engine: Engine) -> Any:
        go.wait(20)
        return step(engine)

    monkeypatch.setattr(Engine, "step", held_step)
    yield go
    go.set()


def test_a_job(settings: Settings, speaks: None) -> None:
    with live.serve(live.reader(), settings) as server, server.client() as client:
        job = submit(client, pdf(5), pages="2-5", password="secret")
        assert (job["pages_total"], job["source"], job["model"]) == (4, "long.pdf", "tiny")
        job = finished(client, job["id"])
        assert (job["status"], job["pages_done"], job["pages_failed"]) == ("done", 4, 0)
        assert job["usage"] == {
            "pages": 4, "vision_tokens": 256, "text_tokens": 4 * len(live.TOKENIZER.encode(TEXT)),
        }  # fmt: skip
        result = Document.from_json(client.get(f"/v1/jobs/{job['id']}/result").text)
        assert [(page.number, page.raw) for page in result.pages] == [(n, TEXT) for n in (2, 3, 4, 5)]
        direct = client.get(f"/v1/jobs/{job['id']}/result", params={"format": "md"}).text
        assert direct == result.markdown() + "\n"
        assert live.files_below(settings.work / "uploads") == []  # type: ignore[operator]
        assert [one["id"] for one in client.get("/v1/jobs").json()["data"]] == [job["id"]]
        assert client.delete(f"/v1/jobs/{job['id']}").json()["deleted"]
        assert client.get(f"/v1/jobs/{job['id']}").status_code == 404
    assert b"secret" not in (settings.work / "foveate.sqlite").read_bytes()  # type: ignore[operator]


def test_following(settings: Settings, speaks: None) -> None:
    with live.serve(live.reader(), settings) as server, server.client() as client:
        job = submit(client, pdf(3))
        text = client.get(f"/v1/jobs/{job['id']}/events").text
        assert text.count("event: job\n") >= 2 and '"status": "done"' in text.split("event: job\n")[-1]


def test_a_restart(settings: Settings, speaks: None, held: threading.Event) -> None:
    """Pages that are done are not read again."""
    with live.serve(live.reader(), settings) as server, server.client() as client:
        job = submit(client, pdf(3))
        early = client.get(f"/v1/jobs/{job['id']}/result")
        assert (early.status_code, early.json()["error"]["code"]) == (409, "job_not_done")
        live.wait_for(lambda: server.service.network._sitting.load > 0)
        threading.Timer(0.2, held.set).start()  # the thread must be able to end
    with sqlite3.connect(settings.work / "foveate.sqlite") as db:  # type: ignore[operator]
        db.execute("DELETE FROM pages WHERE job = ?", (job["id"],))
        marked = '{"number": 2, "width": 1, "height": 1, "blocks": [], "raw": "from before"}'
        usage = '{"vision_tokens": 1, "text_tokens": 1, "failed": 0}'
        db.execute("INSERT INTO pages VALUES (?, 2, ?, ?)", (job["id"], marked, usage))
        db.execute("UPDATE jobs SET status = 'running', finished = NULL")  # as kill -9 leaves it
    db.close()
    with live.serve(live.reader(), settings) as server, server.client() as client:
        assert finished(client, job["id"])["status"] == "done"
        result = Document.from_json(client.get(f"/v1/jobs/{job['id']}/result").text)
        assert [page.raw for page in result.pages] == [TEXT, "from before", TEXT]


def test_cancelling(settings: Settings, speaks: None, held: threading.Event) -> None:
    with live.serve(live.reader(), settings) as server, server.client() as client:
        job = submit(client, pdf(3))
        live.wait_for(lambda: server.service.network._sitting.load > 0)
        held.set()
        cancelled = client.post(f"/v1/jobs/{job['id']}/cancel").json()
        assert cancelled["status"] in ("cancelled", "done")
        live.wait_for(lambda: not server.service.network._sitting.load)
        assert live.files_below(settings.work / "uploads") == []  # type: ignore[operator]
        partial = client.get(f"/v1/jobs/{job['id']}/result", params={"partial": "true"})
        assert partial.status_code == 200


def test_broken_pages_and_broken_files(settings: Settings, speaks: None) -> None:
    with live.serve(live.reader(), settings) as server, server.client() as client:
        job = finished(client, submit(client, tiff(3, damaged=[2]), "scan.tif")["id"])
        assert (job["status"], job["pages_done"], job["pages_failed"]) == ("done", 3, 1)
        job = finished(client, submit(client, tiff(1, damaged=[1]), "scan.tif")["id"])
        assert job["status"] == "failed" and "damaged" in job["error"]
        assert client.get(f"/v1/jobs/{job['id']}/result").json()["error"]["code"] == "job_failed"
        answer = client.post("/v1/jobs", files={"file": ("half.pdf", pdf()[:900])})
        assert answer.status_code == 422
        assert client.post("/v1/jobs", data={"mode": "tiny"}).status_code == 400
        assert live.files_below(settings.work / "uploads") == []  # type: ignore[operator]


def test_other_people_see_nothing(settings: Settings, speaks: None) -> None:
    with (
        live.serve(live.reader(), replace(settings, keys=KEYS)) as server,
        server.client("ann's long key") as ann,
        server.client("ben's long key") as ben,
        server.client("somebody's key") as nobody,
    ):
        job = submit(ann, pdf(1))["id"]
        file = ann.post("/v1/files", files={"file": ("a.pdf", pdf(1))}, data={"purpose": "user_data"}).json()[
            "id"
        ]
        for path in (
            f"/v1/jobs/{job}",
            f"/v1/jobs/{job}/result",
            f"/v1/jobs/{job}/events",
            f"/v1/files/{file}",
        ):
            assert ben.get(path).status_code == 404
            assert nobody.get(path).status_code == 401
        assert ben.post(f"/v1/jobs/{job}/cancel").status_code == 404
        assert ben.delete(f"/v1/jobs/{job}").status_code == ben.delete(f"/v1/files/{file}").status_code == 404
        assert ben.post("/v1/jobs", data={"file_id": file}).status_code == 404
        assert ben.get("/v1/jobs").json()["data"] == ben.get("/v1/files").json()["data"] == []
        assert ann.post("/v1/jobs", data={"file_id": file, "mode": "tiny"}).status_code == 202
        assert finished(ann, job)["status"] == "done"
        assert ann.delete(f"/v1/files/{file}").json()["deleted"]


def test_old_results_are_removed(settings: Settings, speaks: None) -> None:
    with live.serve(live.reader(), replace(settings, keep_hours=1e-9)) as server, server.client() as client:
        job = submit(client, pdf(1))["id"]
        live.wait_for(lambda: client.get(f"/v1/jobs/{job}").status_code == 404)


def test_a_job_that_kills_the_server_is_left_alone(
    settings: Settings, speaks: None, held: threading.Event
) -> None:
    with live.serve(live.reader(), settings) as server, server.client() as client:
        job = submit(client, pdf(1))["id"]
        live.wait_for(lambda: server.service.network._sitting.load > 0)
        threading.Timer(0.2, held.set).start()
    with sqlite3.connect(settings.work / "foveate.sqlite") as db:  # type: ignore[operator]
        db.execute("UPDATE jobs SET status = 'running', starts = 5, finished = NULL")
        db.execute("DELETE FROM pages")
    db.close()
    with live.serve(live.reader(), settings) as server, server.client() as client:
        over = finished(client, job)
        assert over["status"] == "failed" and "did not survive" in over["error"]


def test_the_files_of_the_official_client(settings: Settings, speaks: None) -> None:
    import openai

    with (
        live.serve(live.reader(), settings) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        file = client.files.create(file=("a.pdf", pdf(1)), purpose="user_data")
        assert client.files.retrieve(file.id).filename == "a.pdf"
        assert [one.id for one in client.files.list()] == [file.id]
        part = {"type": "file", "file": {"file_id": file.id}}
        answer = client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": [part]}],  # type: ignore[list-item,misc]
            extra_body={"mode": "tiny"},
        )
        assert answer.choices[0].message.content == TEXT
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)
