"""/v1/files: documents that are uploaded once and named by their id in later requests."""

import time
import uuid
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, UploadFile
from pydantic import BaseModel, Field

from foveate.serving.errors import Refusal
from foveate.serving.options import Word
from foveate.serving.store import Store
from foveate.serving.uploads import Folder, safe_name

MOST = 1000  # files of one key


class FileForm(BaseModel):
    """A document to be kept for a while."""

    file: UploadFile
    purpose: Word = Field("user_data", description="kept as it is; the OpenAI API asks for one")


class FileObject(BaseModel):
    """An uploaded file."""

    id: str
    object: str = "file"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: str = "processed"


class FileList(BaseModel):
    """All files of a key, the newest first."""

    object: str = "list"
    data: list[FileObject]
    has_more: bool = False


class Deleted(BaseModel):
    """Something is gone."""

    id: str
    object: str
    deleted: bool = True


class Files:
    """Uploaded files, each its owner's alone."""

    def __init__(self, store: Store, folder: Folder, keep: float) -> None:
        self._store, self._folder, self._keep = store, folder, keep  # keep: seconds

    async def add(self, form: FileForm, owner: str) -> FileObject:
        count = await self._store.one("SELECT count(*) AS n FROM files WHERE owner = ?", owner)
        if count is not None and count["n"] >= MOST:
            raise Refusal(409, f"{MOST} files are kept already: delete some", "too_many_files")
        name = safe_name(form.file.filename)
        path = await self._folder.keep(form.file.file, name)
        row = (
            "file-" + uuid.uuid4().hex,
            owner,
            name,
            path.stat().st_size,
            form.purpose,
            time.time(),
            path.name,
        )
        await self._store.run("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
        return await self.get(row[0], owner)

    async def get(self, id: str, owner: str) -> FileObject:
        return self._object(await self._row(id, owner))

    async def locate(self, id: str, owner: str) -> tuple[Path, str]:
        """Where the file lies, and its name. Raises a `Refusal`."""
        row = await self._row(id, owner)
        return self._folder.path / row["path"], row["name"]

    async def list(self, owner: str) -> FileList:
        rows = await self._store.all("SELECT * FROM files WHERE owner = ? ORDER BY created DESC", owner)
        return FileList(data=[self._object(row) for row in rows])

    async def delete(self, id: str, owner: str) -> Deleted:
        path, _ = await self.locate(id, owner)
        await self._store.run("DELETE FROM files WHERE id = ?", id)
        path.unlink(missing_ok=True)
        return Deleted(id=id, object="file")

    async def forget_old(self) -> None:
        """Removes what has been kept for long enough."""
        for row in await self._store.all("SELECT * FROM files WHERE created < ?", time.time() - self._keep):
            await self.delete(row["id"], row["owner"])

    async def _row(self, id: str, owner: str) -> Any:
        row = await self._store.one("SELECT * FROM files WHERE id = ? AND owner = ?", id, owner)
        if row is None:  # another key's file does not exist either
            raise Refusal(
                404, "there is no such file: upload it with POST /v1/files", "no_such_file", "file_id"
            )
        return row

    def _object(self, row: Any) -> FileObject:
        return FileObject(
            id=row["id"],
            bytes=row["bytes"],
            created_at=int(row["created"]),
            expires_at=int(row["created"] + self._keep),
            filename=row["name"],
            purpose=row["purpose"],
        )


def make_router() -> APIRouter:
    """The routes."""
    from foveate.serving.state import AtDesk

    router = APIRouter(prefix="/v1/files", tags=["files"])

    @router.post("", summary="Upload a file")
    async def add(
        desk: AtDesk, form: Annotated[FileForm, Form(media_type="multipart/form-data")]
    ) -> FileObject:
        """Keeps a document for later requests, which name it by its id."""
        return await desk.files.add(form, desk.asker.name)

    @router.get("", summary="List your files")
    async def list_files(desk: AtDesk) -> FileList:
        """The files of this key."""
        return await desk.files.list(desk.asker.name)

    @router.get("/{file_id}", summary="Look at a file's record")
    async def get(desk: AtDesk, file_id: str) -> FileObject:
        """Its size, its name and how long it is kept."""
        return await desk.files.get(file_id, desk.asker.name)

    @router.delete("/{file_id}", summary="Delete a file")
    async def delete(desk: AtDesk, file_id: str) -> Deleted:
        """Removes it at once."""
        return await desk.files.delete(file_id, desk.asker.name)

    return router
