"""`foveate serve` as a process: keys, ports, signals, and kill -9."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from foveate.cli import main
from foveate.document import Document
from foveate.serving import logs
from tests.serving import live

PAGE = Path("src/foveate/assets/demo/page.png")


@pytest.fixture(autouse=True)
def log_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the process that runs the tests."""
    monkeypatch.setattr(logs, "set_up", lambda level: None)


@contextmanager
def served(*options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address and the process of a server with nano."""
    command = [sys.executable, "-m", "foveate", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("foveate serves nano at http://127.0.0.1:"), line
            yield line.split(" at ")[1].split()[0], process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=60)


def page() -> bytes:
    return (Path(__file__).parents[2] / PAGE).read_bytes()


def test_a_server_ends_what_it_has(tmp_path: Path) -> None:
    """SIGTERM while a page is being read: it is read, and the exit code is 0. Lines of JSON tell of it."""
    with served("--work", str(tmp_path / "work")) as (url, process), httpx.Client(timeout=60) as client:
        form = {"mode": "tiny", "max_tokens": "60", "retries": "0", "stream": "true"}
        with client.stream("POST", f"{url}/v1/read", files={"file": page()}, data=form) as answer:
            lines = answer.iter_lines()
            while not next(lines).startswith("event: piece"):
                pass
            process.send_signal(signal.SIGTERM)
            assert "event: done" in list(lines)
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0
    events = [json.loads(line) for line in log.splitlines()]
    (request,) = [event for event in events if event["event"] == "request"]
    assert (request["status"], request["route"], request["pages"]) == (200, "/v1/read", 1)


@pytest.mark.slow
def test_a_job_survives_kill_9(tmp_path: Path) -> None:
    """Killed at every other page: the result is that of a server that was not."""
    with served("--work", str(tmp_path / "calm")) as (url, _):
        whole = result(url, submit(url))
    work = str(tmp_path / "killed")
    with served("--work", work, "--batch-size", "2") as (url, process):
        job = submit(url)
        page_more(url, job)
        process.kill()
    kills = 1
    while True:
        with served("--work", work, "--batch-size", "2") as (url, process):
            page_more(url, job)
            if over(url, job):
                assert result(url, job).markdown() == whole.markdown()
                break
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
    assert kills >= 2


def page_more(url: str, job: str) -> None:
    """Waits until another page is done, or the job."""
    before = state(url, job)["pages_done"]
    live.wait_for(lambda: state(url, job)["pages_done"] > before or over(url, job), 300)


def submit(url: str) -> str:
    form = {"mode": "tiny", "max_tokens": "30", "retries": "0"}
    answer = httpx.post(f"{url}/v1/jobs", files={"file": live.pdf(4)}, data=form, timeout=60)
    return str(answer.json()["id"])


def state(url: str, job: str) -> dict[str, Any]:
    return dict(httpx.get(f"{url}/v1/jobs/{job}", timeout=60).json())


def over(url: str, job: str) -> bool:
    return state(url, job)["status"] in ("done", "failed")


def result(url: str, job: str) -> Document:
    live.wait_for(lambda: over(url, job), 120)
    return Document.from_json(httpx.get(f"{url}/v1/jobs/{job}/result", timeout=60).text)


def test_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = str(tmp_path / "keys")
    assert main(["serve", "--keys", keys, "--new-key", "ann"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("fvt-") and "nobody can show the key again" in err
    assert main(["serve", "--keys", keys, "--new-key", "ann"]) == 2
    assert main(["serve", "--new-key", "ann"]) == 2
    assert "name it with --keys FILE" in capsys.readouterr().err


def test_what_cannot_be_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says how to go on, before anything is served."""
    work = ["--work", str(tmp_path / "work")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options, words in (
            (["--host", "0.0.0.0"], "give --keys FILE, or --open"),
            (["--host", "no-such-host.invalid", "--open"], "cannot listen at no-such-host.invalid"),
            (["--port", port], f"port {port} (Address already in use)"),
            (["--port", "70000"], "choose 0 to 65535"),
            (["--keys", str(tmp_path / "none")], "the keys cannot be read"),
            (["--model", str(tmp_path / "none")], "none"),
            (["--port", "0", "--work", __file__], "cannot be the work folder"),
        ):
            assert main(["serve", *work, *options]) == 2
            out, err = capsys.readouterr()
            assert words in err.splitlines()[-1] and not out


def test_two_servers_in_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fcntl

    (tmp_path / "lock").touch()
    with (tmp_path / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["serve", "--port", "0", "--work", str(tmp_path)]) == 2
    assert "another server works in" in capsys.readouterr().err
