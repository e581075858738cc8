"""The routes of /v1/jobs."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from pydantic import Field
from starlette.responses import Response

from foveate.errors import OptionError
from foveate.serving.drawing import Upload
from foveate.serving.files import Deleted
from foveate.serving.jobs import OVER, JobList, JobObject
from foveate.serving.options import Format, ReadingOptions, Word
from foveate.serving.read import written
from foveate.serving.state import AtDesk, Desk
from foveate.serving.streams import PING, EventStream, event_bytes
from foveate.serving.uploads import safe_name

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


class JobForm(ReadingOptions):
    """A file, or the id of one, and how to read it."""

    file: UploadFile | None = Field(None, description="PDF, PNG, JPEG, WebP, TIFF, GIF or BMP")
    file_id: Word | None = Field(None, description="of a file from /v1/files, instead")


@router.post("", status_code=202, summary="Submit a long document")
async def add(desk: AtDesk, form: Annotated[JobForm, Form(media_type="multipart/form-data")]) -> JobObject:
    """Takes the document and answers at once; ask for the job by its id."""
    form.options(desk.settings)  # complains now rather than later
    path, name = await _source(desk, form)
    try:
        upload = Upload(path, name, form.pages, form.dpi, form.password)
        options = ReadingOptions.model_validate(form.model_dump(exclude={"file", "file_id"}))
        return await desk.jobs.add(upload, options, desk.asker.name)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@router.get("", summary="List your jobs")
async def list_jobs(desk: AtDesk) -> JobList:
    """The jobs of this key, the newest first."""
    return await desk.jobs.list(desk.asker.name)


@router.get("/{job_id}", summary="Look at a job")
async def get(desk: AtDesk, job_id: str) -> JobObject:
    """Its state and how many of its pages are done."""
    return await desk.jobs.get(job_id, desk.asker.name)


@router.get("/{job_id}/events", summary="Follow a job", response_class=Response)
async def events(desk: AtDesk, job_id: str) -> Response:
    """Server-sent events: the job whenever a page is done, until it is over."""
    await desk.jobs.get(job_id, desk.asker.name)
    return EventStream(_following(desk, job_id), AsyncExitStack(), desk.request_id, "error")


@router.get("/{job_id}/result", summary="Get what a job has read", response_class=Response)
async def result(desk: AtDesk, job_id: str, format: Format = "json", partial: bool = False) -> Response:
    """The document; with `partial` as far as it is read."""
    return written(await desk.jobs.document(job_id, desk.asker.name, partial), format)


@router.post("/{job_id}/cancel", summary="Stop a job")
async def cancel(desk: AtDesk, job_id: str) -> JobObject:
    """Stops it; the pages that are done can still be had, with `partial`."""
    return await desk.jobs.cancel(job_id, desk.asker.name)


@router.delete("/{job_id}", summary="Delete a job")
async def delete(desk: AtDesk, job_id: str) -> Deleted:
    """Stops it and removes all of it at once."""
    await desk.jobs.delete(job_id, desk.asker.name)
    return Deleted(id=job_id, object="job")


async def _source(desk: Desk, form: JobForm) -> tuple[Path, str]:
    """A file of the job's own, and its name."""
    if (form.file is None) == (form.file_id is None):
        raise OptionError("a job takes one document: send either file or file_id")
    if form.file is not None:
        name = safe_name(form.file.filename)
        return await desk.folder.keep(form.file.file, name), name
    path, name = await desk.files.locate(form.file_id or "", desk.asker.name)
    with await asyncio.to_thread(path.open, "rb") as stream:
        return await desk.folder.keep(stream, name), name


async def _following(desk: Desk, job_id: str) -> AsyncGenerator[bytes, None]:
    before = None
    while not desk.service.gate.closed:
        job = await desk.jobs.get(job_id, desk.asker.name)
        if job != before:
            yield event_bytes(job.model_dump(), "job")
        if job.status in OVER:
            return
        before = job
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5), desk.jobs.changed:
                await desk.jobs.changed.wait()
                continue
        yield PING
