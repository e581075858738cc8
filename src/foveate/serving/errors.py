"""What goes wrong, as the OpenAI API says it: {"error": {message, type, param, code}}."""

from typing import Any

from fastapi import HTTPException
from pydantic import BaseModel

from foveate.errors import (
    CorruptSource,
    FoveateError,
    InputError,
    OptionError,
    PageRangeError,
    PasswordNeeded,
    SourceTooLarge,
    UnknownMode,
    UnknownPrompt,
    UnsupportedFormat,
)

_STATUS: tuple[tuple[type[FoveateError], int, str, str | None], ...] = (
    (SourceTooLarge, 413, "too_large", None),
    (UnsupportedFormat, 415, "unsupported_format", None),
    (CorruptSource, 422, "damaged_file", None),
    (PasswordNeeded, 422, "password_needed", "password"),
    (PageRangeError, 400, "bad_pages", "pages"),
    (UnknownMode, 400, "unknown_mode", "mode"),
    (UnknownPrompt, 400, "unknown_prompt", "prompt"),
    (OptionError, 400, "bad_option", None),
    (InputError, 400, "bad_request", None),
)
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ErrorDetail(BaseModel):
    """What is wrong and how to go on."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None
    request_id: str | None = None


class ErrorBody(BaseModel):
    """Every answer that is not 2xx."""

    error: ErrorDetail


class Refusal(HTTPException):
    """An answer other than 2xx, from anywhere in the server."""

    # An HTTPException, because FastAPI makes a plain 400 of anything else that reading a body raises.

    def __init__(
        self, status: int, message: str, code: str, param: str | None = None, retry_after: int | None = None
    ) -> None:
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        headers |= {"www-authenticate": "Bearer"} if status == 401 else {}
        super().__init__(status, message, headers)
        self.message, self.code, self.param = message, code, param

    def body(self, request_id: str | None = None) -> dict[str, Any]:
        """As JSON values."""
        kind = _TYPES.get(
            self.status_code, "invalid_request_error" if self.status_code < 500 else "server_error"
        )
        detail = ErrorDetail(
            message=clean(self.message),
            type=kind,
            param=self.param and clean(self.param),
            code=self.code,
            request_id=request_id,
        )
        return {"error": detail.model_dump()}


def refusal(problem: Exception) -> Refusal:
    """Any problem as an answer. What is no error of ours is a 500 that tells nothing of the inside."""
    if isinstance(problem, Refusal):
        return problem
    for kind, status, code, param in _STATUS:
        if isinstance(problem, kind):
            return Refusal(status, str(problem), code, param)
    return Refusal(
        500, "the server has failed here: try again, and report it with the request id", "internal"
    )


def clean(text: str) -> str:
    """Text that can be written as UTF-8: lone surrogates, which JSON may smuggle in, become marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
