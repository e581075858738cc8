"""Tools for agents, by the Model Context Protocol: `read`, and with a memory `remember` and `recall`.

Files are opened only below the folders that were allowed, by `read` in processes of their own; nothing is
fetched from addresses. What goes wrong is told to the agent in words that say how to go on.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from pydantic import Field

from foveate.batches.drawing import Drawing, Opening
from foveate.document import Document, Page
from foveate.engine.reader import Options, Reader
from foveate.errors import FoveateError, InputError, OptionError, SourceNotFound, SourceTooLarge
from foveate.pages.image import Limits, PageImage

try:
    from mcp.server import MCPServer
    from mcp.server.mcpserver import Context
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations
except ImportError as problem:
    raise OptionError("foveate mcp needs the MCP library: pip install 'foveate[mcp]'") from problem

if TYPE_CHECKING:
    from foveate.memory import OpticalMemory

T = TypeVar("T")

TEXT = frozenset({".txt", ".text", ".md", ".markdown"})
READ = """Reads a document (PDF, PNG, JPEG, WebP, TIFF, GIF or BMP) and gives its text as Markdown.

Give `path`, a file in one of these folders: {roots}. Or give `content`, the bytes of a file in base64. A long
document is read in parts: at most {pages} pages a call, chosen by `pages`. Modes from cheap to sharp: tiny
(64 vision tokens), small (100), base (256), large (400), gundam (tiles, for small print); auto takes the
cheapest that loses no pixels.
"""
INSTRUCTIONS = (
    "foveate reads pages: PDFs, scans and photos become Markdown. Ask for few pages at a time; each takes "
    "the network a while."
)

PathArgument = Annotated[str | None, Field(description="a file, absolute or below one of the folders")]
ContentArgument = Annotated[str | None, Field(description="the bytes of a file, in base64")]
PagesArgument = Annotated[str | None, Field(description='such as "1-3,7" or "5-"; all if left out')]
ModeArgument = Annotated[str, Field(description="tiny, small, base, large, gundam, gundam-m or auto")]
PromptArgument = Annotated[
    str, Field(description="markdown, ocr, text, figure, describe, or a sentence of your own")
]
FormatArgument = Annotated[
    Literal["markdown", "text", "json"], Field(description="json has blocks with boxes and confidences")
]


@dataclass(frozen=True)
class Bounds:
    """How much one call may ask for."""

    pages: int = 20
    bytes: int = 64 << 20
    pixels: int = 100_000_000
    dpi: int = 144


class Desk:
    """What the tools work with: a reader, loaded when it is first needed, and processes that open files."""

    def __init__(
        self,
        load: Callable[[], Reader],
        roots: Sequence[Path] = (),
        bounds: Bounds = Bounds(),  # noqa: B008 (frozen)
    ) -> None:
        """Raises `SourceNotFound` for a root that is no folder."""
        self.bounds, self._load = bounds, load
        self.roots = tuple(_folder(root) for root in roots)
        self.limiter = anyio.CapacityLimiter(1)  # one network, and one call at a time in it
        self._reader: Reader | None = None

    @property
    def reader(self) -> Reader:
        if self._reader is None:
            self._reader = self._load()
        return self._reader

    def allowed(self, name: str) -> Path:
        """The file of that name. Raises `InputError` when it is not in one of the folders, whether or not
        it is there."""
        if not self.roots:
            raise OptionError("this server opens no files: give the content")
        given = [Path(name)] if os.path.isabs(name) else [root / name for root in self.roots]
        inside = [path for path in map(_resolved, given) if path and self._is_inside(path)]
        if not inside:
            folders = ", ".join(map(str, self.roots))
            raise OptionError(f"{name!r} is outside what this server may read: name a file in {folders}")
        for path in inside:
            if path.is_file():
                return path
        raise SourceNotFound(f"{name!r}: no such file: check the path")

    def _is_inside(self, path: Path) -> bool:
        return any(path == root or root in path.parents for root in self.roots)

    @contextmanager
    def opened(self, path: str | None, content: str | None) -> Iterator[tuple[Path, str]]:
        """The file that a call means, and its name. Raises `InputError`."""
        if (path is None) == (content is None):
            raise OptionError("give either a path or the content of a file")
        if path is not None:
            yield self.allowed(path), path
            return
        assert content is not None
        with tempfile.TemporaryDirectory(prefix="foveate-") as folder:
            file = Path(folder) / "content"
            file.write_bytes(self._decoded(content))
            yield file, "content"

    def _decoded(self, content: str) -> bytes:
        text = content.partition("base64,")[2] if content.startswith("data:") else content
        if len(text) > self.bounds.bytes * 4 // 3 + 4:
            raise SourceTooLarge(f"the content is over the limit of {self.bounds.bytes:,} bytes: send less")
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as problem:
            raise OptionError("the content is not base64: encode the bytes of the file") from problem

    def read(
        self, file: tuple[Path, str], pages: str | None, options: Options, on_page: Callable[[int, int], None]
    ) -> Document:
        """Reads a document; `on_page` is told how many pages of how many are done, and may stop it."""
        limits = Limits(self.bounds.bytes, self.bounds.pixels)
        drawing = Drawing(Opening(self.bounds.dpi, pages, None, limits), workers=1, tries=1)
        try:
            return self._read(drawing, file, options, on_page)
        finally:
            drawing.close()

    def _read(
        self, drawing: Drawing, file: tuple[Path, str], options: Options, on_page: Callable[[int, int], None]
    ) -> Document:
        path, name = file
        numbers = drawing.open(path, name).result().numbers
        if len(numbers) > self.bounds.pages:
            raise SourceTooLarge(
                f"{name}: {len(numbers)} pages are asked for, at most {self.bounds.pages} are read at once: "
                f"choose some with pages, such as {numbers[0]}-{numbers[self.bounds.pages - 1]}"
            )
        done: dict[int, Page | None] = dict.fromkeys(numbers)
        problems: list[InputError] = []

        def images() -> Iterator[PageImage]:
            for number in numbers:
                try:
                    yield drawing.draw(path, name, number).result()
                except InputError as problem:
                    problems.append(problem)
                    done[number] = Page(number, 0, 0, (), stop="error", error=str(problem))

        on_page(0, len(numbers))
        for image, page in self.reader.read_pages(images(), options):
            done[image.number] = page
            on_page(sum(page is not None for page in done.values()), len(numbers))
        if len(problems) == len(numbers):
            raise problems[0]
        return Document(name, tuple(page for page in done.values() if page), self.reader.name)


def create_server(desk: Desk, memory: OpticalMemory | None = None) -> MCPServer[Any]:
    """The server with its tools; `run` it over standard input and output."""
    server: MCPServer[Any] = MCPServer("foveate", instructions=INSTRUCTIONS, log_level="WARNING")
    _add_read(server, desk)
    if memory is not None:
        _add_remember(server, desk, memory)
        _add_recall(server, desk, memory)
    return server


def _add_read(server: MCPServer[Any], desk: Desk) -> None:
    roots = ", ".join(map(str, desk.roots)) or "(none: paths cannot be given)"
    described = READ.format(roots=roots, pages=desk.bounds.pages)

    async def read(
        context: Context[Any, Any],
        path: PathArgument = None,
        content: ContentArgument = None,
        mode: ModeArgument = "auto",
        prompt: PromptArgument = "markdown",
        pages: PagesArgument = None,
        format: FormatArgument = "markdown",
    ) -> str:
        def work() -> str:
            options = Options(mode, prompt)
            with desk.opened(path, content) as file:
                document = desk.read(file, pages, options, _told(context))
            return _rendered(document, format)

        return await _in_thread(desk, work)

    annotations = ToolAnnotations(title="Read a document", read_only_hint=True, open_world_hint=False)
    server.tool(description=described, annotations=annotations, structured_output=False)(read)


def _add_remember(server: MCPServer[Any], desk: Desk, memory: OpticalMemory) -> None:
    async def remember(
        text: Annotated[str | None, Field(description="words to keep")] = None,
        path: PathArgument = None,
        role: Annotated[str, Field(description="who said the text: user, assistant, note …")] = "user",
        pages: PagesArgument = None,
    ) -> str:
        """Keeps text, or a document, in a memory of pages that outlives this conversation.

        Give `text` or `path`. Gives the number under which `recall` reads it back. The same text of the same
        role, or the same document, is kept once.
        """

        def work() -> str:
            entry = _remembered(desk, memory, text, path, role, pages)
            return f"kept as number {entry.number}: {entry.pages} pages, {entry.text_tokens} text tokens"

        return await _in_thread(desk, work)

    annotations = ToolAnnotations(
        title="Keep in memory", read_only_hint=False, destructive_hint=False, idempotent_hint=True
    )
    server.tool(annotations=annotations, structured_output=False)(remember)


def _remembered(
    desk: Desk, memory: OpticalMemory, text: str | None, path: str | None, role: str, pages: str | None
) -> Any:
    from foveate.memory.store import key_of

    if (text is None) == (path is None):
        raise OptionError("give either text or a path")
    if text is not None:
        return memory.append(text, role, key=key_of(text.encode("utf-8", "surrogatepass"), "mcp", role))
    assert path is not None
    file = desk.allowed(path)
    if file.stat().st_size > desk.bounds.bytes:
        raise SourceTooLarge(f"{path}: over the limit of {desk.bounds.bytes:,} bytes")
    content = file.read_bytes()
    if file.suffix.lower() in TEXT:
        words = content.decode("utf-8-sig", "replace")
        return memory.append_text(words, path, key=key_of(content, path, ""))
    limits = Limits(desk.bounds.bytes, desk.bounds.pixels)
    key = key_of(content, path, pages or "", desk.bounds.dpi)
    return memory.append_document(file, path, key=key, pages=pages, dpi=desk.bounds.dpi, limits=limits)


def _add_recall(server: MCPServer[Any], desk: Desk, memory: OpticalMemory) -> None:
    async def recall(
        query: Annotated[str | None, Field(description="words to look for")] = None,
        number: Annotated[int | None, Field(description="what remember gave")] = None,
        limit: Annotated[int, Field(ge=1, le=50, description="places that a query gives at most")] = 5,
    ) -> str:
        """Looks words up in the memory, or reads back what was kept under a number.

        Give `query` for the places where its words stand, best first, each with the number to read it by.
        Give `number` for all of its text, as the network reads it from the page: old pages may have faded,
        and numbers and names of faded pages should be checked.
        """

        def work() -> str:
            if (query is None) == (number is None):
                raise OptionError("give either a query or a number")
            if query is not None:
                return _places(memory, query, limit)
            return "\n\n".join(recalled.text for recalled in memory.recall(turn=number)) or "(nothing)"

        return await _in_thread(desk, work)

    annotations = ToolAnnotations(title="Look up in memory", read_only_hint=True, open_world_hint=False)
    server.tool(annotations=annotations, structured_output=False)(recall)


def _places(memory: OpticalMemory, query: str, limit: int) -> str:
    found = memory.find(query, limit)
    if not found:
        return "nothing found: try other or fewer words"
    lines = []
    for place in found:
        entries, pages = (", ".join(map(str, numbers)) for numbers in (place.entries, place.pages))
        lines.append(f"number {entries} (page {pages}): {place.snippet}")
    return "\n".join(lines)


def _told(context: Context[Any, Any]) -> Callable[[int, int], None]:
    """Progress from a thread to the asker; it raises when the asker has gone."""

    def told(done: int, total: int) -> None:
        anyio.from_thread.check_cancelled()
        anyio.from_thread.run(context.report_progress, done, total)

    return told


async def _in_thread(desk: Desk, work: Callable[[], T]) -> T:
    """Work beside the conversation; our errors reach the agent in their own words."""
    try:
        return await anyio.to_thread.run_sync(work, limiter=desk.limiter)
    except FoveateError as problem:
        raise ToolError(str(problem)) from problem


def _rendered(document: Document, format: str) -> str:
    if format == "json":
        return document.json(indent=None)
    return document.text() if format == "text" else document.markdown()


def _folder(root: Path) -> Path:
    path = root.resolve()
    if not path.is_dir():
        raise SourceNotFound(f"{root} is no folder: name those that agents may read from")
    return path


def _resolved(path: Path) -> Path | None:
    """Where a path leads, links and dots followed; nothing for what is no path at all."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return None
