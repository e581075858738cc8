"""The command as a whole: what it costs to ask for help, and how it ends."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveate import __version__
from foveate.cli import main

FOVEATE = [sys.executable, "-m", "foveate"]


def cpu_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def test_help_is_quick() -> None:
    costs = []
    for _ in range(3):
        before = cpu_seconds()
        subprocess.run([*FOVEATE, "--help"], check=True, capture_output=True)
        costs.append(cpu_seconds() - before)
    assert min(costs) < 0.3


@pytest.mark.parametrize("command", [["--help"], ["tokens", "page.png"], ["models"], ["read", "nothing.png"]])
def test_no_torch_without_a_reader(command: list[str], tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "page.png")
    code = (
        "import sys\nfrom foveate.cli import main\n"
        f"try: main({command})\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"foveate {__version__}\n"


def test_no_command_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2 and "COMMAND" in capsys.readouterr().err


def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*FOVEATE, "read", "a\nb.pdf"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("foveate: ") and ended.stderr.count("\n") == 1


def test_nobody_listens() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        ended = subprocess.run(
            [*FOVEATE, "models"], stdout=closed, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert ended.returncode == 141 and ended.stderr == b""


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("foveate.cli.models.embedded", interrupt)
    assert main(["models"]) == 130
    assert capsys.readouterr().err == "foveate: interrupted\n"


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("foveate.cli.models.embedded", fail)
    assert main(["models"]) == 2
    assert capsys.readouterr().err == "foveate: [Errno 28] No space left on device\n"
