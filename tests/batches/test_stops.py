"""Whatever stops a batch, what it gives in the end has the same bytes."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from foveate.batches import run
from foveate.batches.run import read_batch
from foveate.engine.reader import Options, Reader
from foveate.errors import OptionError
from foveate.model.source import ASSETS
from foveate.pages.tokenizer import Tokenizer
from tests import tiny
from tests.batches.world import PLAN, Beside, Stop, files, picture, whole

TOKENIZER = Tokenizer.load(ASSETS / "nano")
CONFIG = replace(
    tiny.with_decoder(vocab_size=len(TOKENIZER), eos_token_id=TOKENIZER.eos, bos_token_id=TOKENIZER.bos),
    image_token_id=TOKENIZER.image,
)


def test_stopped_anywhere_it_gives_the_same_bytes(folder: Path) -> None:
    theirs = whole()
    for after in (0, 3, 4):
        with pytest.raises(Stop):
            read_batch(lambda after=after: Beside(stop_after=after), ["in"], "out", PLAN)  # type: ignore[misc]
        assert "report.json" not in files(folder / "out")
        reader = Beside()
        report = read_batch(lambda reader=reader: reader, ["in"], "out", PLAN)  # type: ignore[misc]
        assert files(folder / "out") == theirs, after
        assert report.read_now == 12 - after
        assert max(map(len, reader.calls)) == 4 and len(reader.calls) == 3 - after // 4
        shutil.rmtree(folder / "out")


def test_stopped_again_and_again(folder: Path) -> None:
    theirs, stops = whole(), 0
    while True:
        try:
            read_batch(lambda: Beside(stop_after=5), ["in"], "out", PLAN)
            break
        except Stop:
            stops += 1
    assert stops == 2 and files(folder / "out") == theirs


def test_a_group_is_read_no_longer_than_it_must(folder: Path) -> None:
    with pytest.raises(Stop):
        read_batch(lambda: Beside(stop_after=1), ["in/a.pdf"], "out", replace(PLAN, group=5))
    reader = Beside(stop_after=5)
    read_batch(lambda: reader, [], "out", replace(PLAN, group=5))
    assert reader.stop_after == 0 and reader.calls == [[80, 100, 120, 140, 160]]


@pytest.mark.parametrize("moment", ["opened", "done", "set_written"])
def test_stopped_before_or_after_any_change(folder: Path, monkeypatch: Any, moment: str) -> None:
    """A change of the journal is made or not made; both must go well."""
    theirs = whole()
    change = getattr(run.Journal, moment)
    for number, made in ((0, True), (2, False)):
        left = [number]

        def stopping(self: Any, *arguments: Any, made: bool = made, left: list[int] = left) -> Any:
            if left[0]:
                left[0] -= 1
                return change(self, *arguments)
            if made:
                change(self, *arguments)
            raise Stop

        with monkeypatch.context() as patched, pytest.raises(Stop):
            patched.setattr(run.Journal, moment, stopping)
            read_batch(Beside, ["in"], "out", PLAN)
        read_batch(Beside, ["in"], "out", PLAN)
        assert files(folder / "out") == theirs, (number, made)
        shutil.rmtree(folder / "out")


KILLED = """
import os, signal, sys
from foveate.batches.run import read_batch
from tests.batches.world import PLAN, Beside, Stop

class Killing(Beside):
    def _page(self, *arguments):
        if self.stop_after == 0:
            print("now", flush=True)
            signal.pause()
        return super()._page(*arguments)

read_batch(lambda: Killing(stop_after=int(sys.argv[1])), ["in"], "out", PLAN)
"""


def test_a_killed_process_loses_no_page_and_leaves_no_process(folder: Path) -> None:
    theirs = whole()
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, "6"], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"now\n"
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    assert children and not psutil.wait_procs(children, 30)[1]
    report = read_batch(Beside, ["in"], "out", PLAN)
    assert files(folder / "out") == theirs and report.read_now == 7


class _Counting:
    """A tiny network's reader that stops."""

    def __init__(self, reader: Reader, pages: int) -> None:
        self.reader, self.model, self.pages = reader, reader.model, pages

    def read_pages(self, *arguments: Any) -> Iterator[Any]:
        for reading in self.reader.read_pages(*arguments):
            if not self.pages:
                raise Stop
            self.pages -= 1
            yield reading


def test_a_real_network_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    reader = Reader(tiny.network(CONFIG, 3), TOKENIZER, "tiny")
    plan, some = replace(PLAN, reading=Options("tiny", max_tokens=5, retries=0)), ["in/a.pdf", "in/c.png"]
    read_batch(lambda: reader, some, "whole", plan)
    for pages in (2, 5):
        with pytest.raises(Stop):
            read_batch(lambda pages=pages: _Counting(reader, pages), some, "out", plan)  # type: ignore[misc]
    read_batch(lambda: reader, some, "out", plan)
    assert files(folder / "out") == files(folder / "whole")
    other = Reader(tiny.network(CONFIG, 4), TOKENIZER, "tiny")
    picture(folder / "in" / "z.png")
    with pytest.raises(OptionError, match="another network of the same name"):
        read_batch(lambda: other, ["in"], "out", plan)
