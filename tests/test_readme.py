"""The README's snippets that are marked as tests do run.

A snippet is a fenced block behind `<!-- test -->`, or behind `<!-- test: nano -->` when it reads with the
embedded model.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ASSETS = Path("src/foveate/assets")
SNIPPET = re.compile(r"^<!-- test(: nano)? -->\n```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NANO = (ROOT / ASSETS / "nano" / "model.safetensors").is_file()


def snippets() -> list[Any]:
    """Language and code of each, named by its first words."""
    found = []
    for nano, language, code in SNIPPET.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        marks = [pytest.mark.skipif(not NANO, reason="no embedded weights")] if nano else []
        found.append(pytest.param(language, code, marks=marks, id=" ".join(code.split()[:3])))
    return found


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the snippets name, where they may write."""
    shutil.copytree(ROOT / ASSETS / "demo", tmp_path / ASSETS / "demo")
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", os.pathsep.join((str(scripts), os.environ["PATH"])))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("language", "code"), snippets())
def test_snippet(language: str, code: str, clone: Path) -> None:
    command = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
    subprocess.run([*command, code], check=True, timeout=300)


def server_lines() -> list[str]:
    """The README's commands that go on until they are stopped."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return [
        line.split("#")[0].strip() for line in re.findall(r"^foveate (?:serve|mcp).*$", readme, re.MULTILINE)
    ]


@pytest.mark.skipif(not NANO, reason="no embedded weights")
def test_servers_start_as_the_readme_starts_them(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`foveate serve`, on a free port, shows its page; `foveate mcp ~/papers` answers its first question."""
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("mcp")
    pytest.importorskip("starlette")
    monkeypatch.setenv("HOME", str(clone))
    (clone / "papers").mkdir()
    serve, mcp = server_lines()
    command = ["bash", "-c", f"exec {serve} --port 0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split(" at ")[1].split()[0]
            page = httpx.get(url, timeout=60)
            assert page.status_code == 200 and "<title>" in page.text
        finally:
            process.terminate()
            process.communicate(timeout=60)
    client = {
        "protocolVersion": "2025-03-26",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    hello = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}) + "\n"
    with subprocess.Popen(
        ["bash", "-c", f"exec {mcp}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(hello)
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert answer["id"] == 1 and "tools" in answer["result"]["capabilities"]
        finally:
            process.terminate()
            process.communicate(timeout=60)


def test_there_are_snippets() -> None:
    assert len(snippets()) >= 4


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/quickstart.md"])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_tree_is_real() -> None:
    tree = re.search(r"```text\nsrc/foveate/\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert tree is not None
    for line in tree[1].splitlines():
        base = ROOT / "src" / "foveate" if line.startswith("  ") else ROOT
        assert (base / line.split()[0]).exists(), line
