"""The server as a process: its address, its signals, its slow clients."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from foveate.engine.reader import Reader
from foveate.errors import OptionError
from foveate.serving.app import create_app
from foveate.serving.service import Service
from foveate.serving.settings import Settings

LOG = logging.getLogger("foveate.serving")
HEAD_SECONDS = 10.0  # for a request's line and headers
SWITCH_SECONDS = 0.0005  # Python's default lets the event loop keep the network waiting for 5 ms at a time


def run(
    reader: Reader,
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8000,
    open_to_all: bool = False,
    on_start: Callable[[str], None] = lambda url: None,
) -> None:
    """Serves until SIGINT or SIGTERM, then lets what is under way come to its end.

    Port 0 takes a free one; `on_start` is told the address. Raises `OptionError`: for an address that cannot
    be had, for one that others can reach while there are no keys, for a work folder in use.
    """
    if not settings.keys and not open_to_all and not _is_loopback(host):
        raise OptionError(
            f"others can reach {host} and there are no keys: give --keys FILE, or --open to let everybody in"
        )
    with _listening(host, port) as listener, _alone_in(settings.work):
        sys.setswitchinterval(SWITCH_SECONDS)
        app = create_app(reader, settings)
        shown = f"[{host}]" if ":" in host else host
        server = Server(app, settings, lambda: on_start(f"http://{shown}:{listener.getsockname()[1]}"))
        server.run([listener])


class Server(uvicorn.Server):
    """Turns new requests away as soon as it is told to stop, and ends without raising the signal again."""

    def __init__(self, app: FastAPI, settings: Settings, on_start: Callable[[], None]) -> None:
        self._app, self._on_start = app, on_start
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(settings.drain)),
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        service: Service | None = getattr(self._app.state, "service", None)
        if service is not None:
            service.gate.closed = True
        super().handle_exit(sig, frame)


class Protocol(H11Protocol):
    """HTTP that does not wait for ever for a request's headers."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._calm()
        elif self._patience is None:  # the next request of the connection has begun, and only begun
            self._patience = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _hang_up(self) -> None:
        self._patience = None
        if self.conn.their_state is h11.IDLE:
            self.transport.close()


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as problem:
        why = str(problem.strerror or problem).partition(" (while")[0]  # the address stands there again
        raise OptionError(f"cannot listen at {host}, port {port} ({why}): choose another --port") from problem
    with listener:
        yield listener


@contextlib.contextmanager
def _alone_in(work: Path | None) -> Iterator[None]:
    """Two servers in one work folder would do the same jobs and remove one another's files."""
    if work is None:
        yield
        return
    try:
        import fcntl
    except ImportError:  # pragma: no cover (Windows)
        yield
        return
    try:
        work.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(work / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as problem:
        raise OptionError(
            f"{work} cannot be the work folder ({problem.strerror}): choose another"
        ) from problem
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise OptionError(f"another server works in {work}: choose another --work folder") from None
    try:
        yield
    finally:
        os.close(lock)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def with_changes(settings: Settings, changes: dict[str, Any]) -> Settings:
    """The settings with other values where they are given. Raises `OptionError`."""
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})
