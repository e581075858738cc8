"""The commands of docs/serving.md do what it says, one block after the other."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foveate.cli import build_parser
from tests.serving import live
from tests.serving.live import TEXT, Live, pdf, png, say

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", DOCS, flags=re.MULTILINE | re.DOTALL)
HERE = "http://localhost:8000"
CALLS = [(kind, text) for kind, text in BLOCKS if HERE in text]
COMMANDS = [line for kind, text in BLOCKS if HERE not in text for line in text.splitlines()]


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live.serve(live.reader(), live.Settings(drawing_processes=1)) as running:
        yield running


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_calls(server: Live, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int) -> None:
    kind, text = CALLS[number]
    if kind == "sh" and shutil.which("curl") is None:
        pytest.skip("needs curl")
    say(monkeypatch, TEXT)
    (tmp_path / "page.png").write_bytes(png())
    (tmp_path / "book.pdf").write_bytes(pdf(2))
    command = ["bash", "-eu", "-c"] if kind == "sh" else [sys.executable, "-W", "ignore", "-c"]
    done = subprocess.run(
        [*command, text.replace(HERE, server.url)], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert TEXT.splitlines()[0] in done.stdout
    assert '"error": {' not in done.stdout and '"error":{' not in done.stdout


def test_the_other_commands_exist() -> None:
    """Servers and installers: their options are known, and their files are there."""
    ours = [shlex.split(line, comments=True) for line in COMMANDS if line.startswith("foveate")]
    assert len(ours) == 3
    for words in ours:
        build_parser().parse_args(words[1:])
    inside = [shlex.split(line) for line in COMMANDS if line.startswith("podman run")]
    for words in inside:
        build_parser().parse_args(["serve", "--work", "/data/work", *words[words.index("foveate") + 1 :]])
    others = {line.split()[0] for line in COMMANDS} - {"foveate", "podman"}
    assert others == {"pip"}
    assert (ROOT / "Containerfile").exists() and (ROOT / "deploy" / "foveate.service").exists()


def test_the_unit_and_the_image_start_the_command() -> None:
    unit = (ROOT / "deploy" / "foveate.service").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)
    options = build_parser().parse_args(shlex.split(line)[1:])
    assert (options.host, options.port) == ("127.0.0.1", 8000)
    image = (ROOT / "Containerfile").read_text(encoding="utf-8")
    words = [
        json.loads(found) for found in re.findall(r"^(?:ENTRYPOINT|CMD) (\[.*\])$", image, flags=re.MULTILINE)
    ]
    options = build_parser().parse_args([*words[0][1:], *words[1]])
    assert (options.host, str(options.keys)) == ("0.0.0.0", "/data/keys")
