"""/v1/jobs: long documents, read page by page in the background.

Each page is written down when it is read, so a job that was stopped in any way, by a restart or by kill -9,
goes on with the pages that are missing.
"""

import asyncio
import contextlib
import json
import logging
import time
import uuid
from typing import Any, Literal

from pydantic import BaseModel, Field

from foveate.document import Document, Page
from foveate.errors import InputError
from foveate.serving.drawing import Upload
from foveate.serving.errors import Refusal, refusal
from foveate.serving.options import ReadingOptions
from foveate.serving.service import Ask, Call, Done, Service
from foveate.serving.store import Store
from foveate.serving.uploads import Folder

LOG = logging.getLogger("foveate.serving")
Status = Literal["queued", "running", "done", "failed", "cancelled"]
OVER = ("done", "failed", "cancelled")
MOST_STARTS = 5  # of a job that gets no page done between them: then it is the document that ends the server


class JobObject(BaseModel):
    """A job and how far it is."""

    id: str
    object: str = "job"
    status: Status
    source: str
    model: str
    pages_total: int
    pages_done: int
    pages_failed: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int | None = Field(description="when the result is removed")
    seconds_left: float | None = Field(description="estimated, while it runs")
    usage: dict[str, int]
    error: str | None


class JobList(BaseModel):
    """All jobs of a key, the newest first."""

    object: str = "list"
    data: list[JobObject]


class Jobs:
    """Jobs, each its owner's alone, and the tasks that work on them."""

    def __init__(self, service: Service, store: Store, folder: Folder) -> None:
        self._service, self._store, self._folder = service, store, folder
        self._keep = service.settings.keep_hours * 3600
        self._wake = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._clerk: asyncio.Task[None] | None = None
        self.changed = asyncio.Condition()

    # --- what the routes call

    async def add(self, upload: Upload, options: ReadingOptions, owner: str) -> JobObject:
        """Takes a job. The upload's file is the job's from now on. Raises `InputError` or a `Refusal`."""
        settings = self._service.settings
        open_jobs = await self._store.one(
            "SELECT count(*) AS n FROM jobs WHERE owner = ? AND status IN ('queued', 'running')", owner
        )
        if open_jobs is not None and open_jobs["n"] >= settings.max_jobs:
            raise Refusal(
                429, f"{open_jobs['n']} jobs are open: wait for one", "too_many_jobs", retry_after=60
            )
        numbers = await self._service.drawing.numbers(upload, settings.max_job_pages)
        row = {
            "id": "job-" + uuid.uuid4().hex,
            "owner": owner,
            "status": "queued",
            "name": upload.name,
            "options": options.model_dump_json(),
            "numbers": json.dumps(numbers),
            "path": upload.path.name,
            "model": self._service.name,
            "created": time.time(),
        }
        places = ", ".join("?" * len(row))
        await self._store.run(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({places})", *row.values())
        self._wake.set()
        return await self.get(str(row["id"]), owner)

    async def get(self, id: str, owner: str) -> JobObject:
        """Raises a `Refusal` when there is none, or it is another's."""
        return await self._object(await self._row(id, owner))

    async def list(self, owner: str) -> JobList:
        rows = await self._store.all(
            "SELECT * FROM jobs WHERE owner = ? ORDER BY created DESC LIMIT 1000", owner
        )
        return JobList(data=[await self._object(row) for row in rows])

    async def cancel(self, id: str, owner: str) -> JobObject:
        """Stops a job; the pages that are done stay. A job that is over stays as it is."""
        await self._row(id, owner)
        await self._store.run(
            "UPDATE jobs SET status = 'cancelled', finished = ? "
            "WHERE id = ? AND status IN ('queued', 'running')",
            time.time(),
            id,
        )
        await self._stop(id)
        await self._over(id)
        return await self.get(id, owner)

    async def delete(self, id: str, owner: str) -> None:
        """Stops a job and removes all of it."""
        await self.cancel(id, owner)
        await self._store.run("DELETE FROM jobs WHERE id = ?", id)

    async def document(self, id: str, owner: str, partial: bool) -> Document:
        """What has been read. Raises a `Refusal` while pages are missing, unless `partial`."""
        row = await self._row(id, owner)
        if row["status"] == "failed" and not partial:
            raise Refusal(409, f"the job has failed: {row['error']}", "job_failed")
        if row["status"] != "done" and not partial:
            raise Refusal(
                409,
                f"the job is {row['status']}: ask later, or with partial=true",
                "job_not_done",
                retry_after=5,
            )
        pages = await self._pages(id)
        ordered = [pages[number] for number in json.loads(row["numbers"]) if number in pages]
        return Document(row["name"], tuple(ordered), row["model"])

    # --- the work itself

    async def start(self) -> None:
        """Takes up what was left, and works until `stop`."""
        await self._store.run("UPDATE jobs SET status = 'queued' WHERE status = 'running'")
        await self._drop_strays()
        self._clerk = asyncio.create_task(self._assign())

    async def stop(self) -> None:
        """Leaves all jobs as they are, to be taken up by the next start."""
        for task in [self._clerk, *self._running.values()]:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self._store.run("UPDATE jobs SET starts = starts - 1 WHERE status = 'running'")

    async def _assign(self) -> None:
        while True:
            self._wake.clear()
            await self._fill()
            for status in ("queued", "running"):
                count = await self._store.one("SELECT count(*) AS n FROM jobs WHERE status = ?", status)
                self._service.metrics.jobs.labels(status).set(count["n"] if count else 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(60):
                    await self._wake.wait()
            await self.forget_old()

    async def _fill(self) -> None:
        while len(self._running) < self._service.settings.jobs_at_once and not self._service.gate.closed:
            # Who has fewest jobs in work comes first, so that nobody's pile keeps another waiting.
            row = await self._store.one(
                "SELECT * FROM jobs AS j WHERE status = 'queued' ORDER BY (SELECT count(*) FROM jobs WHERE "
                "owner = j.owner AND status = 'running'), created LIMIT 1"
            )
            if row is None:
                return
            taken = await self._store.run(
                "UPDATE jobs SET status = 'running', started = coalesce(started, ?), starts = starts + 1 "
                "WHERE id = ? AND status = 'queued'",
                time.time(),
                row["id"],
            )
            if not taken:  # cancelled in this moment
                continue
            task = asyncio.create_task(self._work(row))
            self._running[row["id"]] = task
            task.add_done_callback(lambda _, id=row["id"]: self._done(id))  # type: ignore[misc]

    def _done(self, id: str) -> None:
        self._running.pop(id, None)
        self._wake.set()

    async def _work(self, row: Any) -> None:
        error = None
        try:
            if row["starts"] >= MOST_STARTS:
                raise Refusal(422, "the server did not survive its pages: it is left alone now", "poison")
            await self._read(row)
        except asyncio.CancelledError:
            raise
        except Exception as problem:
            if refusal(problem).status_code >= 500:
                LOG.error("job_failed", exc_info=problem, extra={"fields": {"job": row["id"]}})
            error = refusal(problem).message
        await self._store.run(
            "UPDATE jobs SET status = ?, finished = ?, error = ? WHERE id = ? AND status = 'running'",
            "failed" if error else "done",
            time.time(),
            error,
            row["id"],
        )
        await self._over(row["id"])

    async def _read(self, row: Any) -> None:
        options = ReadingOptions.model_validate_json(row["options"])
        upload = Upload(self._folder.path / row["path"], row["name"], None, options.dpi, options.password)
        done = {
            page["number"]
            for page in await self._store.all("SELECT number FROM pages WHERE job = ?", row["id"])
        }
        missing = [number for number in json.loads(row["numbers"]) if number not in done]
        if not missing:
            return
        window = max(1, self._service.settings.batch_size // 2)  # the rest is for those who wait at a screen
        ask = Ask(upload, options.options(self._service.settings), numbers=missing, window=window)
        try:
            async with Call(self._service, ask) as call:
                async for event in call:
                    if isinstance(event, Done):
                        await self._keep_page(row["id"], event)
        except InputError:
            if not done:  # else the broken pages are only the last ones
                raise

    async def _keep_page(self, id: str, done: Done) -> None:
        usage = {
            "vision_tokens": done.page.vision_tokens,
            "text_tokens": done.written,
            "failed": int(done.page.error is not None),
        }
        page = json.dumps(done.page.json(), ensure_ascii=False)
        await self._store.run_all(
            [
                (
                    "INSERT OR IGNORE INTO pages VALUES (?, ?, ?, ?)",
                    (id, done.page.number, page, json.dumps(usage)),
                ),
                ("UPDATE jobs SET starts = 1 WHERE id = ?", (id,)),
            ]
        )
        await self._announce()

    async def _over(self, id: str) -> None:
        """A job that is over needs its upload no more."""
        row = await self._store.one("SELECT path, status FROM jobs WHERE id = ?", id)
        if row is not None and row["status"] in OVER:
            (self._folder.path / row["path"]).unlink(missing_ok=True)
            query = "UPDATE jobs SET options = json_set(options, '$.password', NULL) WHERE id = ?"
            await self._store.run(query, id)
        await self._announce()

    async def _announce(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def _stop(self, id: str) -> None:
        task = self._running.get(id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def forget_old(self) -> None:
        """Removes results that have been kept for long enough."""
        await self._store.run(
            "DELETE FROM jobs WHERE status IN ('done', 'failed', 'cancelled') AND finished < ?",
            time.time() - self._keep,
        )

    async def _drop_strays(self) -> None:
        """Removes uploads that belong to nothing: of requests that were under way when the server ended."""
        rows = await self._store.all(
            "SELECT path FROM jobs WHERE status IN ('queued', 'running') UNION SELECT path FROM files"
        )
        wanted = {row["path"] for row in rows}
        for path in self._folder.path.iterdir():
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    # --- rows

    async def _row(self, id: str, owner: str) -> Any:
        row = await self._store.one("SELECT * FROM jobs WHERE id = ? AND owner = ?", id, owner)
        if row is None:
            raise Refusal(404, "there is no such job: make one with POST /v1/jobs", "no_such_job", "job_id")
        return row

    async def _pages(self, id: str) -> dict[int, Page]:
        rows = await self._store.all("SELECT number, page FROM pages WHERE job = ?", id)
        return {row["number"]: Page.from_dict(json.loads(row["page"])) for row in rows}

    async def _object(self, row: Any) -> JobObject:
        counted = await self._store.one(
            "SELECT count(*) AS pages, "
            "coalesce(sum(usage ->> 'vision_tokens'), 0) AS vision_tokens, "
            "coalesce(sum(usage ->> 'text_tokens'), 0) AS text_tokens, "
            "coalesce(sum(usage ->> 'failed'), 0) AS failed FROM pages WHERE job = ?",
            row["id"],
        )
        assert counted is not None
        total, done = len(json.loads(row["numbers"])), counted["pages"]
        left = None
        if row["status"] == "running" and done and row["started"]:
            left = round((time.time() - row["started"]) / done * (total - done), 1)
        return JobObject(
            id=row["id"],
            status=row["status"],
            source=row["name"],
            model=row["model"],
            pages_total=total,
            pages_done=done,
            pages_failed=counted["failed"],
            created_at=int(row["created"]),
            started_at=_whole(row["started"]),
            finished_at=_whole(row["finished"]),
            expires_at=_whole(row["finished"] + self._keep if row["finished"] else None),
            seconds_left=left,
            usage={key: counted[key] for key in ("pages", "vision_tokens", "text_tokens")},
            error=row["error"],
        )


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
