"""Documents that several tests read."""

from pathlib import Path

import pytest

from tests.batches.world import pdf, picture


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve pages in four documents, and two files that are none."""
    monkeypatch.chdir(tmp_path)
    pdf(Path("in/a.pdf"), 5), pdf(Path("in/sub/b.pdf"), 3, 200), picture(Path("in/c.png"), 33)
    pdf(Path("in/d.pdf"), 3, 300)
    Path("in/broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    Path("in/empty.png").write_bytes(b"")
    return tmp_path
