"""The snippets of docs/render.md and docs/proxy.md that are marked as tests do run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("uharfbuzz")
from foveate.pages.render import fonts  # noqa: E402

DOCS = Path(__file__).parents[1] / "docs"
SNIPPET = re.compile(r"^<!-- test -->\n```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SNIPPETS = [
    pytest.param(language, code, id=f"{page}-{' '.join(code.split()[:2])}")
    for page in ("render", "proxy")
    for language, code in SNIPPET.findall((DOCS / f"{page}.md").read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("language", "code"), SNIPPETS)
def test_snippet(language: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fonts.families():
        pytest.skip("needs fonts")
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    command = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
    subprocess.run([*command, code], check=True, timeout=300, cwd=tmp_path, capture_output=True)


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) == 4


def test_the_table_of_providers_names_all() -> None:
    from foveate.memory.providers import PROVIDERS

    page = (DOCS / "proxy.md").read_text(encoding="utf-8")
    assert not [name for name in PROVIDERS if f"`{name}`" not in page]


def test_the_table_of_fields_names_all() -> None:
    from dataclasses import fields

    from foveate.pages.render import Style

    page = (DOCS / "render.md").read_text(encoding="utf-8")
    assert not [item.name for item in fields(Style) if f"`{item.name}`" not in page]
