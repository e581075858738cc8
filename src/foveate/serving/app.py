"""The application: `create_app(reader, settings)`."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from foveate.engine.reader import Reader
from foveate.errors import OptionError
from foveate.serving.settings import Settings

try:
    from fastapi import FastAPI, Request
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse, Response

    from foveate.serving import api_page, files, job_routes, openai, read
    from foveate.serving.door import Door
    from foveate.serving.errors import ErrorBody, Refusal, refusal
    from foveate.serving.jobs import Jobs
    from foveate.serving.metrics import CONTENT_TYPE, Metrics
    from foveate.serving.service import Service
    from foveate.serving.store import Store
    from foveate.serving.uploads import Folder
except ImportError as problem:
    raise OptionError(f"the server needs {problem.name}: pip install 'foveate[serve]'") from problem

ABOUT = """Reads pages: PDFs, scans and photos become Markdown, text, HTML or JSON.

Send `Authorization: Bearer YOUR-KEY` where the server has keys. Every answer has an `X-Request-ID`; errors
are `{"error": {"message", "type", "param", "code", "request_id"}}`, and a 429 says in `Retry-After` when to
come again."""
_WORDS = {404: "there is nothing here: see /docs", 405: "this method is not for this address: see /docs"}
_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "What is wrong, and how to go on"},
    "5XX": {"model": ErrorBody, "description": "The server's fault, or it stops"},
}


def create_app(reader: Reader, settings: Settings = Settings()) -> FastAPI:  # noqa: B008 (frozen)
    """A server of one network. `app.state.service` and `app.state.settings` are there while it runs.

    Raises `OptionError` when the work folder cannot be used.
    """
    app = FastAPI(
        title="foveate",
        version="1",
        description=ABOUT,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        responses=_ERRORS,
    )
    app.state.settings, app.state.reader = settings, reader
    for router in (read.router, openai.router, files.make_router(), job_routes.router, api_page.router):
        app.include_router(router)
    if find_spec("foveate.serving.web_routes") is not None:
        from foveate.serving import web_routes

        app.include_router(web_routes.router)
    _add_health(app)
    _add_errors(app)
    if settings.origins:
        from starlette.middleware.cors import CORSMiddleware

        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after"],
        )
    app.add_middleware(Door, service=lambda: app.state.service)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    work = settings.work or Path(tempfile.mkdtemp(prefix="foveate-"))
    state = app.state
    with _working_in(work):
        state.folder = Folder(work / "uploads", settings)
        store = Store(work / "foveate.sqlite")
    service = state.service = Service(state.reader, settings, Metrics())
    state.files = files.Files(store, state.folder, settings.keep_hours * 3600)
    state.jobs = Jobs(service, store, state.folder)
    service.start()
    await state.jobs.start()
    cleaner = asyncio.create_task(_clean(state.files, state.jobs))
    try:
        yield
    finally:
        service.gate.closed = True
        cleaner.cancel()
        await state.jobs.stop()
        await service.close()
        await asyncio.to_thread(store.close)
        if settings.work is None:
            shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def _working_in(work: Path) -> Any:
    try:
        work.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield
    except OSError as problem:
        raise OptionError(
            f"{work} cannot be the work folder ({problem.strerror}): choose another"
        ) from problem


async def _clean(kept: "files.Files", jobs: "Jobs") -> None:
    while True:
        await asyncio.sleep(600)
        await kept.forget_old()
        await jobs.forget_old()


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz", tags=["health"], summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        """Yes, when this answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], summary="Can it take requests?")
    async def readyz(request: Request) -> dict[str, Any]:
        """503 while the server is stopping, or when the network's thread has died."""
        service: Service = request.app.state.service
        if not service.ready:
            raise Refusal(503, "the server takes no requests: ask another", "not_ready", retry_after=5)
        return {"status": "ready", "model": service.name, "waiting": service.gate.waiting}

    @app.get("/metrics", tags=["health"], summary="Numbers for Prometheus", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Counts and times; no names, no content."""
        service: Service = request.app.state.service
        service.metrics.waiting.set(service.gate.waiting)
        service.metrics.running.set(service.gate.running)
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _add_errors(app: FastAPI) -> None:
    def answer(request: Request, refused: Refusal) -> JSONResponse:
        request.state.note["code"] = refused.code
        body = refused.body(request.state.request_id)
        return JSONResponse(body, refused.status_code, refused.headers)

    async def invalid(request: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, RequestValidationError)
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:] if first["type"] != "json_invalid")
        message = f"{place or 'body'}: {first['msg']}"
        return answer(request, Refusal(400, message, "bad_request", place or None))

    async def http(request: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, HTTPException)
        if not isinstance(problem, Refusal):
            text = _WORDS.get(problem.status_code, str(problem.detail))
            refused = Refusal(problem.status_code, text, "http")
            refused.headers = dict(problem.headers or {})
            problem = refused
        return answer(request, problem)

    async def ours(request: Request, problem: Exception) -> JSONResponse:
        return answer(request, refusal(problem))

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, ours)
    from foveate.errors import FoveateError

    app.add_exception_handler(FoveateError, ours)
