"""Strangers' files to pages, in processes of their own, so that none of them can take the server down."""

import asyncio
import contextlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from foveate import errors
from foveate.errors import CorruptSource, SourceTooLarge
from foveate.pages.apart import NUMBER
from foveate.pages.image import Limits, PageImage
from foveate.serving.settings import Settings

_FLOW = 1 << 22  # bytes of an answer that may wait in the pipe's reader


@dataclass(frozen=True)
class Upload:
    """A stranger's file, under a name of ours."""

    path: Path
    name: str  # what the stranger called it
    pages: str | None = None  # a range
    dpi: int = 144
    password: str | None = None


class Drawing:
    """Some processes that count and draw pages."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._free = asyncio.Semaphore(settings.drawing_processes)
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()

    async def numbers(self, upload: Upload, most: int) -> list[int]:
        """The pages that are asked for. Raises `InputError`, also for more than `most` of them."""
        answer, _ = await self._ask(upload, self._settings.limits(most), {"pages": upload.pages})
        found: list[int] = answer["numbers"]
        return found

    async def draw(self, upload: Upload, number: int) -> PageImage:
        """One page. Raises `InputError`."""
        answer, pixels = await self._ask(
            upload, self._settings.limits(), {"number": number, "dpi": upload.dpi}
        )
        image = Image.frombuffer("RGB", (answer["width"], answer["height"]), pixels, "raw", "RGB", 0, 1)
        return PageImage(upload.name, number, image, answer["dpi"])

    async def close(self) -> None:
        """Ends the processes."""
        for process in list(self._all):
            await self._end(process)

    async def _ask(
        self, upload: Upload, limits: Limits, task: dict[str, Any]
    ) -> tuple[dict[str, Any], bytes]:
        common = {"path": str(upload.path), "name": upload.name, "password": upload.password}
        line = json.dumps(common | task | {"limits": asdict(limits)}).encode() + b"\n"
        async with self._free:
            process = self._idle.pop() if self._idle else await self._begin()
            try:
                async with asyncio.timeout(self._settings.drawing_seconds):
                    answer, pixels = await _exchange(process, line)
            except TimeoutError:
                await self._end(process)
                raise SourceTooLarge(
                    f"{upload.name}: takes more than {self._settings.drawing_seconds:g} s to draw a page: "
                    "lower the dpi or simplify the page"
                ) from None
            except (asyncio.IncompleteReadError, ConnectionError):
                await self._end(process)
                raise CorruptSource(
                    f"{upload.name}: damaged so that no program can open it safely: save it anew with "
                    "another program"
                ) from None
            except (
                BaseException
            ):  # also when the asker has gone: the answer would be taken for the next one's
                await self._end(process)
                raise
            self._idle.append(process)
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["message"])
        return answer, pixels

    async def _begin(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "foveate.serving.drawing_worker",
            str(self._settings.drawing_bytes),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_FLOW,
            start_new_session=True,  # a Ctrl-C is the server's to handle
        )
        self._all.add(process)
        return process

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


async def _exchange(process: asyncio.subprocess.Process, line: bytes) -> tuple[dict[str, Any], bytes]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(line)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(NUMBER), "big")
    answer: dict[str, Any] = json.loads(await process.stdout.readexactly(length))
    size = 3 * answer.get("width", 0) * answer.get("height", 0)
    return answer, await process.stdout.readexactly(size) if size else b""
