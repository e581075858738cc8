"""The snippets of docs/batches.md and docs/mcp.md that are marked as tests do run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foveate.cli import build_parser

ROOT = Path(__file__).parents[2]
DEMO = Path("src/foveate/assets/demo")
SNIPPET = re.compile(r"^<!-- test: nano -->\n```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = {page: (ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("batches.md", "mcp.md")}
SNIPPETS = [
    pytest.param(language, code, id=f"{page}-{language}")
    for page, text in PAGES.items()
    for language, code in SNIPPET.findall(text)
]


@pytest.mark.skipif(not (ROOT / DEMO / "../nano/model.safetensors").is_file(), reason="no embedded weights")
@pytest.mark.parametrize(("language", "code"), SNIPPETS)
def test_snippet(language: str, code: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / DEMO, tmp_path / DEMO)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    command = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
    subprocess.run([*command, code], check=True, timeout=300, cwd=tmp_path, env={**os.environ, "PATH": path})


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) == 3


def test_options_that_are_named_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for page, command in (("batches.md", "batch"), ("mcp.md", "mcp")):
        with pytest.raises(SystemExit):
            build_parser().parse_args([command, "--help"])
        known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert set(re.findall(r"--[a-z][a-z-]+", PAGES[page])) <= known
