"""The batch itself: every document that was named, read to the end.

    from foveate.batches.run import Plan, read_batch
    from foveate.engine.reader import Reader

    report = read_batch(Reader.load, ["scans"], "read")

It can be stopped at any time, by whatever means, and goes on where it was when it is called again. The files
that it gives do not tell how often that happened: they have the same bytes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from foveate.batches.drawing import Drawing, Opening
from foveate.batches.feeding import Feeding, Spool
from foveate.batches.inputs import find
from foveate.batches.journal import Journal, PageRow
from foveate.batches.outputs import Outputs, whole
from foveate.batches.report import Progress, Report, write_report
from foveate.batches.worker import wanted_pages
from foveate.engine.reader import Options
from foveate.errors import InputError, OptionError, StorageError
from foveate.pages.markup import crop_images

if TYPE_CHECKING:
    from PIL import Image

    from foveate.document import Page
    from foveate.pages.image import PageImage

WORK = ".batch"  # the folder of the journal, within that of the batch
JOURNAL = "journal.sqlite3"

Watch = Callable[[Progress, Journal], None]


class PageReader(Protocol):
    """What a batch asks of a reader: a `Reader`, or anything that reads pages as it does."""

    def read_pages(
        self, images: Iterator[PageImage], options: Options, batch_size: int
    ) -> Iterator[tuple[PageImage, Page]]: ...


@dataclass(frozen=True)
class Plan:
    """How a batch is read and written. Raises `OptionError`."""

    reading: Options = field(default_factory=Options)
    opening: Opening = Opening()
    format: str = "md"
    pictures: bool = False  # cut out of the pages, beside the outputs
    batch_size: int = 8  # pages in the network at once
    group: int | None = None  # pages that are read from an empty network on; None: 4 x batch_size
    workers: int = 2  # processes that draw pages
    tries: int = 3  # of a page that breaks its process or the network
    seconds: float = 300  # that opening a document or drawing a page may take

    def __post_init__(self) -> None:
        least = {"batch_size": 1, "workers": 1, "tries": 1, "seconds": 1, "group_size": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise OptionError(f"{name} is {getattr(self, name)}: choose {value} or more")
        if self.opening.dpi < 1:
            raise OptionError(f"a page cannot be drawn at {self.opening.dpi} dpi: choose 72 to 600")
        wanted_pages(self.opening.pages, 1)

    @property
    def group_size(self) -> int:
        return 4 * self.batch_size if self.group is None else self.group

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides what is read; must be the same when a batch goes on."""
        reading = self.reading
        values = {name: getattr(reading, name) for name in ("mode", "prompt", "reference", "max_tokens")}
        values |= {"max_tiles": reading.max_tiles, "retries": reading.retries}
        sampling = asdict(reading.sampling)
        values |= sampling | {"ngram_whitelist": sorted(sampling["ngram_whitelist"])}
        values |= {"dpi": self.opening.dpi, "pages": self.opening.pages, "pictures": self.pictures}
        return values | {"batch_size": self.batch_size, "group": self.group_size}


def read_batch(
    load: Callable[[], PageReader],
    inputs: Sequence[str],
    out: str | Path,
    plan: Plan | None = None,
    *,
    model: str = "nano",
    retry_failed: bool = False,
    watch: Watch = lambda progress, journal: None,
) -> Report:
    """Reads all that the inputs stand for into a folder, going on where an earlier call was stopped.

    `load` gives the reader when there is something to read; `model` is its name, which goes into the
    outputs. Without inputs, what is in the folder is read to its end. `retry_failed` tries again what could
    not be read. `watch` is called with each page.
    Raises `InputError` for what cannot be done as asked, `StorageError` when the disk is full.
    """
    plan, folder = plan or Plan(), Path(out)
    found = find(inputs, folder) if inputs else []
    began = time.monotonic()
    with _opened(folder, bool(inputs)) as journal:
        outputs = Outputs(folder, journal, plan.format)
        journal.settle({"model": model} | plan.settings)
        journal.add_documents(found)
        if retry_failed:
            journal.retry_failed()
        progress = Progress(journal.counts())
        if not journal.complete:
            with _threads(journal):
                _Run(load, folder, journal, outputs, plan, lambda: watch(progress, journal), progress).go()
        outputs.finish()
        write_report(folder, journal)
        return Report(journal.counts(), progress.done, time.monotonic() - began)


@contextmanager
def _opened(folder: Path, wanted: bool) -> Iterator[Journal]:
    path = folder / WORK / JOURNAL
    if not path.exists():
        if not wanted:
            raise OptionError(f"there is no batch in {folder} to go on with: name what is to be read")
        if folder.exists() and (not folder.is_dir() or any(child.name != WORK for child in folder.iterdir())):
            raise OptionError(f"{folder} holds something other than a batch: choose another for --out")
    with Journal(path) as journal:
        yield journal


@contextmanager
def _threads(journal: Journal) -> Iterator[None]:
    """As many threads as the batch was begun with: sums in another order have other last bits."""
    import torch

    before = torch.get_num_threads()
    journal.settle({} if "threads" in journal.settings else {"threads": before})
    torch.set_num_threads(journal.settings["threads"])
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Broken(Exception):
    """The network did not get through some pages."""


class _Run:
    """Reading all that is left."""

    def __init__(
        self,
        load: Callable[[], PageReader],
        folder: Path,
        journal: Journal,
        outputs: Outputs,
        plan: Plan,
        watch: Callable[[], None],
        progress: Progress,
    ) -> None:
        self._load, self._folder, self._journal, self._outputs = load, folder, journal, outputs
        self._plan, self._watch, self._progress = plan, watch, progress

    def go(self) -> None:
        """Reads group after group."""
        plan = self._plan
        drawing = Drawing(plan.opening, plan.workers, plan.tries, plan.seconds)
        spool = Spool(self._folder / WORK / "spool", plan.opening.limits.bytes)
        try:
            self._feeding = Feeding(self._journal, drawing, spool, plan.group_size)
            self._feeding.top_up()  # documents are opened while the network is loaded
            reader: PageReader | None = None
            for number, rows in self._feeding.groups():
                if reader is None:
                    reader = self._load()
                    self._journal.settle({"model_fingerprint": fingerprint(reader)})
                self._read_group(reader, number, rows)
        finally:
            drawing.close()
            spool.clear()

    def _read_group(self, reader: PageReader, number: int, rows: list[PageRow]) -> None:
        left = {(row.document, row.place): row for row in rows if row.state == "waiting"}
        alone = self._journal.is_alone(number)
        if not alone:
            try:
                self._read_together(reader, rows, left)
            except _Broken:
                self._journal.set_alone(number)
                alone = True
        for row in list(left.values()) if alone else ():
            self._read_alone(reader, row)
        self._feeding.drop(number)
        documents = {row.document for row in rows}
        for document in documents:
            if self._journal.are_settled(document, document + 1):
                self._feeding.forget(document)
        self._outputs.catch_up(documents)

    def _read_together(
        self, reader: PageReader, rows: Iterable[PageRow], left: dict[tuple[int, int], PageRow]
    ) -> None:
        """Reads pages beside one another; takes those with a result out of `left`.

        Pages that have their result already are read too, since the others would come out differently
        without them, but no longer than there is one left. Raises `_Broken`.
        """
        under_way: dict[int, tuple[PageImage, PageRow]] = {}

        def images() -> Iterator[PageImage]:
            for row in rows:
                try:
                    image = self._feeding.image(row)
                except InputError as problem:
                    if left.pop((row.document, row.place), None):
                        self._fail(row, str(problem))
                    continue
                under_way[id(image)] = (image, row)
                yield image

        readings = reader.read_pages(images(), self._plan.reading, self._plan.batch_size)
        for image, page in _guarded(readings):
            _, row = under_way.pop(id(image))
            if left.pop((row.document, row.place), None):
                self._keep(row, image, page)
            if not left:
                break
        if left:
            raise _Broken

    def _read_alone(self, reader: PageReader, row: PageRow) -> None:
        """Reads a page with nothing beside it, so that it alone is lost if it cannot be read."""
        try:
            image = self._feeding.again(row)
        except InputError as problem:
            return self._fail(row, str(problem))
        reason = "nothing was read"
        for _ in range(self._plan.tries):
            try:
                for _, page in _guarded(reader.read_pages(iter([image]), self._plan.reading, 1)):
                    return self._keep(row, image, page)
            except _Broken as problem:
                reason = str(problem)
        self._fail(row, f"page {row.number} breaks the network: {reason}")

    def _keep(self, row: PageRow, image: PageImage, page: Page) -> None:
        if page.error is not None:
            return self._fail(row, page.error)
        if self._plan.pictures:
            page = self._cut(row, image.image, page)
        self._journal.done(row, page)
        self._progress.page(page.text_tokens)
        self._watch()

    def _fail(self, row: PageRow, reason: str) -> None:
        self._journal.failed(row, reason)
        self._progress.page(failed=True)
        self._watch()

    def _cut(self, row: PageRow, image: Image.Image, page: Page) -> Page:
        """The page with its pictures cut out, written, and linked."""
        blocks, crops = crop_images(image, page.blocks, page.number)
        if not crops:
            return page
        target = self._journal.document(row.document).target
        folder = f"{target.rpartition('/')[2]}.images"
        names = {name: f"{folder}/{name.rpartition('/')[2]}" for name in crops}
        for name, crop in crops.items():
            crop.save(content := BytesIO(), "JPEG", quality=90)
            with whole((self._folder / target).parent / names[name]) as file:
                file.write(content.getvalue())
        linked = tuple(replace(block, image=names.get(block.image or "")) for block in blocks)
        return replace(page, blocks=linked)


def _guarded(readings: Iterator[tuple[PageImage, Page]]) -> Iterator[tuple[PageImage, Page]]:
    """The readings; what is wrong with the pages rather than with the machine's disk is `_Broken`."""
    while True:
        try:
            reading = next(readings, None)
        except StorageError:
            raise
        except Exception as problem:  # a network may raise anything, from our own errors to its library's
            lines = str(problem).splitlines()
            raise _Broken(lines[0] if lines else type(problem).__name__) from problem
        if reading is None:
            return
        yield reading


def fingerprint(reader: PageReader) -> str:
    """Tells whether two readers have the same network: a digest of parts of every tensor; "" without one."""
    model = getattr(reader, "model", None)
    if model is None:
        return ""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        flat = tensor.detach().flatten()
        ends = [flat[:256].float().cpu(), flat[-256:].float().cpu()]
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(b"".join(end.numpy().tobytes() for end in ends))
    return digest.hexdigest()[:32]
