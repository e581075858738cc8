"""LibreOffice makes PDFs of Word files: one process at a time, with a profile of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path

from foveate.errors import CorruptSource, OptionError

_NAMES = ("soffice", "libreoffice")
# No macro runs, no link is followed, nothing is asked.
_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="MacroSecurityLevel"
 oor:op="fuse"><value>3</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="DisableMacrosExecution"
 oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop
 oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Writer/Content/Update"><prop oor:name="Link" oor:op="fuse"><value>0
</value></prop></item>
</oor:items>
"""
_ONE = threading.Lock()


def office() -> str | None:
    """The program, when it is installed."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def to_pdf(file: Path, target: Path, timeout: float = 120) -> None:
    """Writes the PDF of a Word file as LibreOffice lays it out.

    OptionError without LibreOffice; CorruptSource when it makes no PDF, or takes longer than `timeout`
    seconds.
    """
    program = office()
    if program is None:
        raise OptionError("drawing Word files needs LibreOffice: install it, such as libreoffice-writer")
    with _ONE, tempfile.TemporaryDirectory(prefix="foveate-word-") as folder:
        # A name of ours: the file's own may be anything.
        source = Path(folder, "document.docx")
        shutil.copyfile(file, source)
        problem = _run(program, source, Path(folder), timeout)
        made = source.with_suffix(".pdf")
        if problem or not made.is_file():
            why = problem or "LibreOffice makes no PDF of it"
            raise CorruptSource(f"{file}: {why}: open it in a word processor and save it anew")
        # Whole or not at all: a reader beside us may look for it.
        waiting = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.move(made, waiting)
        waiting.replace(target)


def _run(program: str, source: Path, folder: Path, timeout: float) -> str | None:
    """What went wrong."""
    profile = _profile()
    command = [
        program, f"-env:UserInstallation={profile.as_uri()}", "--headless", "--norestore", "--nolockcheck",
        "--nologo", "--nodefault", "--convert-to", "pdf:writer_pdf_Export",
        "--outdir", str(folder), str(source),
    ]  # fmt: skip
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    environment = kept | {"HOME": str(profile), "LANG": "C.UTF-8", "SAL_USE_VCLPLUGIN": "svp"}
    process = subprocess.Popen(
        command, env=environment, cwd=folder, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        return f"LibreOffice takes more than {timeout:g} seconds over it"
    finally:
        _end(process)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the program with all that it started; it is the head of its own group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@cache
def _profile() -> Path:
    """A profile of this process alone: two LibreOffices with one profile refuse each other."""
    folder = Path(tempfile.mkdtemp(prefix="foveate-office-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "user").mkdir()
    (folder / "user" / "registrymodifications.xcu").write_text(_SETTINGS, encoding="utf-8")
    return folder
