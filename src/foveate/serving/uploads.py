"""Strangers' bytes into files with names of ours, in the work folder and nowhere else."""

import asyncio
import base64
import binascii
import contextlib
import re
import shutil
import unicodedata
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from foveate.errors import CorruptSource, InputError, OptionError, SourceTooLarge
from foveate.serving.errors import clean
from foveate.serving.settings import Settings

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]{0,100}){0,9})(;base64)?,", re.ASCII)
_LONGEST_NAME = 120


def safe_name(name: str | None, otherwise: str = "document") -> str:
    """A stranger's file name, to be shown: without folders and without signs that do something."""
    last = re.split(r"[/\\]", clean(name or ""))[-1]
    shown = "".join(char for char in last if unicodedata.category(char)[0] != "C").strip(". ")
    return shown[:_LONGEST_NAME] or otherwise


class Folder:
    """The folder of uploads."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self._settings = path, settings
        path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def new(self) -> Path:
        """A path that nothing has yet."""
        return self.path / uuid.uuid4().hex

    async def keep(self, stream: BinaryIO, name: str) -> Path:
        """Copies a stream. Raises `SourceTooLarge`, and `CorruptSource` when it is empty."""
        path = self.new()
        try:
            await asyncio.to_thread(self._copy, stream, path, name)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    @contextlib.asynccontextmanager
    async def lent(self, stream: BinaryIO, name: str) -> AsyncIterator[Path]:
        """A copy of a stream for as long as it is needed."""
        path = await self.keep(stream, name)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    async def keep_data_url(self, url: str, name: str) -> Path:
        """Writes what a data URL holds. Raises `InputError`."""
        path = self.new()
        path.write_bytes(await asyncio.to_thread(decode_data_url, url, self._settings.max_bytes, name))
        return path

    def _copy(self, stream: BinaryIO, path: Path, name: str) -> None:
        stream.seek(0)
        with path.open("xb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
            _check(file.tell(), self._settings.max_bytes, name)


def decode_data_url(url: str, most: int, name: str) -> bytes:
    """The bytes of data:…;base64,…. What they are is found out from them, not from what the URL says.

    Raises `OptionError`, `CorruptSource` or `SourceTooLarge`.
    """
    head = _DATA_URL.match(url[:1200])
    if head is None or not head[3]:
        raise OptionError("this is not a data URL: write data:image/png;base64, and then the file in base64")
    body = url[head.end() :]
    _check(len(body) * 3 // 4 - 2, most, name)
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise CorruptSource(f"{name}: the data URL is no base64 ({problem}): encode the file anew") from None
    _check(len(data), most, name)
    return data


def _check(size: int, most: int, name: str) -> None:
    if size > most:
        raise SourceTooLarge(f"{name}: over the limit of {most:,} bytes: split it into smaller files")
    if size <= 0:
        raise InputError(f"{name}: the file is empty: send one with something in it")
