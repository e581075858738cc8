"""Logs as lines of JSON on standard error."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TextIO


class JsonLines(logging.Formatter):
    """time, level, event, and the fields that came with it. An exception is its kind and places, not its
    words: those may come from a page."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1]:
            problem = record.exc_info[1]
            line["exception"] = type(problem).__name__
            frames = traceback.extract_tb(problem.__traceback__)[-8:]
            line["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]  # type: ignore[assignment]
        return json.dumps(line, ensure_ascii=False)


class _Lines(logging.Handler):
    """Writes to a stream; without one, to what is standard error at that moment."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=self._stream or sys.stderr, flush=True)
        except Exception:  # a log that cannot be written must not end a request
            self.handleError(record)


def set_up(level: str = "info", stream: TextIO | None = None) -> None:
    """Sends the server's and uvicorn's logs to a stream (standard error)."""
    for name in ("foveate", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [_Lines(stream)], False
        logger.setLevel(level.upper())
    for name in ("uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
    logging.getLogger("uvicorn.access").disabled = True  # the door writes a better line
