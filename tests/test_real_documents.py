"""Real PDFs and scans, many of them nasty: each ends in a document or in one clear error, within bounds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1].parent / "shared" / "documents"
FOUND = sorted(path for folder in ("pdf", "scans") for path in (SHARED / folder).glob("*.*"))
DOCUMENTS = [path for path in FOUND if path.suffix != ".txt"]
MOST_MEMORY = 3 * 2**20  # KiB
MOST_SECONDS = 1800

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DOCUMENTS, reason="needs ../shared/documents"),
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_page_of_a_real_document_is_read_or_explained(path: Path) -> None:
    command = [sys.executable, "-m", "foveate", "read", str(path), "--format", "json", "--quiet"]
    process = subprocess.Popen(
        [*command, "--max-tokens", "48", "--retries", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        out, err = process.communicate(timeout=MOST_SECONDS)
    finally:
        process.kill()
    assert process.returncode in (0, 2), err.decode()
    assert b"Traceback" not in err
    if process.returncode == 2:
        assert len(err.decode().strip().splitlines()) >= 1
    if out:
        pages = json.loads(out)["pages"]
        assert pages and all(page["error"] or page["vision_tokens"] >= 64 for page in pages)


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs the child's own memory count")
@pytest.mark.parametrize("name", ["ocrmypdf-enormous.pdf", "olmocr-newspaper.pdf", "olmocr-load_v_error.pdf"])
def test_the_heaviest_documents_stay_under_three_gibibytes(name: str) -> None:
    command = [sys.executable, "-m", "foveate", "read", str(SHARED / "pdf" / name), "--quiet"]
    process = subprocess.Popen(
        [*command, "--max-tokens", "400", "--pages", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    process.stderr.close()
    assert process.returncode in (0, 2)
    assert usage.ru_maxrss < MOST_MEMORY
