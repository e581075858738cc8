"""What a batch gives: files that are functions of the journal, each written whole or not at all.

A *part* is one file: that of a document, or of `SHARD` documents where a format gathers them. Nothing in it
tells when, where or in how many goes it was read.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from foveate.batches.journal import DocumentRow, Journal
from foveate.document import Document, Page
from foveate.errors import OptionError, StorageError

SHARD = 1000  # documents of a JSONL or Parquet file
GROUP_ROWS = 1000  # pages that a Parquet writer holds

Write = Callable[[Journal, list[DocumentRow], BinaryIO], None]


@dataclass(frozen=True)
class Format:
    """How parts are named, what they hold, and how they are written."""

    suffix: str
    write: Write
    shard: int = 1  # documents of a part

    def file(self, part: int, documents: list[DocumentRow]) -> str:
        """A part's path below the folder of the batch."""
        stem = documents[0].target if self.shard == 1 else f"documents/part-{part:05d}"
        return f"{stem}.{self.suffix}"


class Outputs:
    """The files of a batch in one format."""

    def __init__(self, folder: Path, journal: Journal, format: str) -> None:
        if format not in FORMATS:
            raise OptionError(f"format is {format!r}: choose from {', '.join(FORMATS)}")
        self._folder, self._journal, self._name, self._format = folder, journal, format, FORMATS[format]
        if format == "parquet":
            _arrow()  # its absence is told before anything is read

    def catch_up(self, documents: Iterable[int]) -> None:
        """Writes the parts of these documents that are settled."""
        count = self._journal.document_count
        for part in sorted({document // self._format.shard for document in documents}):
            past = (part + 1) * self._format.shard
            if past <= count and self._journal.are_settled(part * self._format.shard, past):
                self._write(part, past)

    def finish(self) -> None:
        """Writes every part that is not there."""
        count, shard = self._journal.document_count, self._format.shard
        for part in range(-(-count // shard)):
            past = min((part + 1) * shard, count)
            if self._journal.are_settled(part * shard, past):
                self._write(part, past)

    def _write(self, part: int, past: int) -> None:
        documents = self._journal.some_documents(part * self._format.shard, past)
        path = self._folder / self._format.file(part, documents)
        if self._journal.written(self._name, part) == past and path.exists():
            return
        if any(self._journal.has_result(document.id) for document in documents):
            with whole(path) as file:
                self._format.write(self._journal, documents, file)
            self._journal.set_written(self._name, part, past)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write that gets its name only when all is in it and on the disk. Raises `StorageError`."""
    partial = path.with_name(f".{path.name[-100:]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync(path.parent)
    except OSError as problem:
        with suppress(OSError):  # where the folder is none, there is no such file either
            partial.unlink(missing_ok=True)
        raise StorageError(
            f"{path} cannot be written ({problem.strerror or problem}): make room, then give the same "
            "command again; nothing is lost"
        ) from problem
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    """Waits until a folder's list of names is on the disk."""
    if os.name == "nt":
        return  # Windows opens no folders, and keeps their lists itself
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _document(journal: Journal, row: DocumentRow) -> Document:
    pages = tuple(page for _, page in journal.results(row.id))
    return Document(row.name, pages, journal.settings.get("model", ""))


def _one(render: Callable[[Document], str]) -> Write:
    """A file of one document, as text."""

    def write(journal: Journal, documents: list[DocumentRow], file: BinaryIO) -> None:
        text = render(_document(journal, documents[0]))
        file.write(text.encode("utf-8", "backslashreplace"))

    return write


def _jsonl(journal: Journal, documents: list[DocumentRow], file: BinaryIO) -> None:
    for row in documents:
        if journal.has_result(row.id):
            record = dolma(journal, row)
            file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


def _gzipped(journal: Journal, documents: list[DocumentRow], file: BinaryIO) -> None:
    # Without a name and a time, which its header would hold.
    with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
        _jsonl(journal, documents, cast(BinaryIO, packed))


def dolma(journal: Journal, row: DocumentRow) -> dict[str, Any]:
    """A document as Dolma has them: id, text, source, metadata; and where in the text each page stands.

    Dolma's `added` and `created` are left out: they would differ from run to run.
    """
    text, spans = "", []
    failed: list[int] = []
    vision = written = 0
    for page_row, page in journal.results(row.id):
        start = len(text)
        if page_row.state == "done":
            words = page.markdown()
            text += ("\n\n" if text and words else "") + words
            vision, written = vision + page.vision_tokens, written + page.text_tokens
        else:
            failed.append(page.number)
        spans.append([start, len(text), page.number])
    metadata: dict[str, Any] = {
        "Source-File": row.name,
        "sha256": row.sha256,
        "bytes": row.bytes,
        "pages": len(spans),
    }
    metadata |= {"failed_pages": failed, "vision_tokens": vision, "text_tokens": written}
    return {
        "id": f"{row.sha256}-{row.id}",  # the same file may be there twice
        "text": text,
        "source": "foveate",
        "metadata": metadata,
        "attributes": {"pdf_page_numbers": spans},
    }


def _parquet(journal: Journal, documents: list[DocumentRow], file: BinaryIO) -> None:
    """A row for each page."""
    pa, pq = _arrow()
    schema = _schema(pa)
    # The newest default version, fixed here: a library's next default would change the bytes.
    with pq.ParquetWriter(file, schema, compression="zstd", version="2.6") as writer:
        rows: list[dict[str, Any]] = []
        for document in documents:
            for page_row, page in journal.results(document.id):
                rows.append(_page_row(document, page, page_row.state == "done"))
                if len(rows) == GROUP_ROWS:
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as problem:
        raise OptionError("Parquet needs pyarrow: pip install 'foveate[batch]'") from problem
    return pyarrow, pyarrow.parquet


def _schema(pa: Any) -> Any:
    box = pa.list_(pa.float64())
    block = [("kind", pa.string()), ("text", pa.string()), ("boxes", pa.list_(box))]
    block += [("confidence", pa.float64()), ("image", pa.string())]
    columns = [("document", pa.string()), ("sha256", pa.string()), ("page", pa.int32())]
    columns += [(name, pa.int32()) for name in ("width", "height", "vision_tokens", "text_tokens")]
    columns += [(name, pa.string()) for name in ("mode", "prompt", "stop", "error", "markdown", "raw")]
    columns += [("confidence", pa.float64()), ("blocks", pa.list_(pa.struct(block)))]
    return pa.schema(columns)


def _page_row(document: DocumentRow, page: Page, done: bool) -> dict[str, Any]:
    plain = ("width", "height", "vision_tokens", "text_tokens", "mode", "prompt", "stop", "error")
    row = {name: getattr(page, name) for name in (*plain, "confidence")}
    row |= {"document": document.name, "sha256": document.sha256, "page": page.number}
    row |= {"markdown": _encodable(page.markdown()) if done else "", "raw": _encodable(page.raw)}
    row["blocks"] = [
        {
            "kind": block.kind,
            "text": _encodable(block.text),
            "boxes": [[box.x0, box.y0, box.x1, box.y1] for box in block.boxes],
            "confidence": block.confidence,
            "image": block.image,
        }
        for block in page.blocks
    ]
    return row


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


FORMATS: dict[str, Format] = {
    "md": Format("md", _one(lambda document: document.markdown() + "\n")),
    "txt": Format("txt", _one(lambda document: document.text() + "\n")),
    "html": Format("html", _one(lambda document: document.html())),
    "json": Format("json", _one(lambda document: document.json() + "\n")),
    "jsonl": Format("jsonl", _jsonl, SHARD),
    "jsonl.gz": Format("jsonl.gz", _gzipped, SHARD),
    "parquet": Format("parquet", _parquet, SHARD),
}
