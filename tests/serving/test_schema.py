"""The OpenAPI description is kept: whatever fits it, and much that does not, is answered without a 5xx."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error

from tests.serving import live
from tests.serving.live import Live, data_url, png

EXAMPLES = 2  # of each operation; `pytest -m slow` takes many more
NEGATIVE = schemathesis.GenerationMode.NEGATIVE
QUIET = [
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
    HealthCheck.function_scoped_fixture,
]


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    sizes = live.Settings(drawing_processes=1, max_tokens=3, max_jobs=10_000, drawing_seconds=20)
    with live.serve(live.reader(), sizes) as running:
        yield running


@pytest.fixture(scope="module")
def schema(server: Live) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def examine(schema: Any, examples: int) -> set[str]:
    """Calls every operation; the paths that were called."""
    called: set[str] = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.startswith("/v1/") or operation.path in ("/healthz", "/readyz", "/metrics"):
            _call(operation, examples)
            called.add(f"{operation.method.upper()} {operation.path}")
    return called


def _call(operation: Any, examples: int) -> None:
    @seed(1)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=QUIET,
    )
    @given(
        case=operation.as_strategy()
        | operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    )
    def check(case: Any) -> None:
        case.call_and_validate(checks=[not_a_server_error])

    check()


def test_every_operation(schema: Any) -> None:
    called = examine(schema, EXAMPLES)
    assert called >= {
        "POST /v1/read", "POST /v1/chat/completions", "GET /v1/models", "POST /v1/jobs",
        "GET /v1/jobs/{job_id}/result", "POST /v1/files", "DELETE /v1/files/{file_id}", "GET /metrics",
    }  # fmt: skip


@pytest.mark.slow
def test_every_operation_many_times(schema: Any) -> None:
    examine(schema, 200)


WORDS = st.text(max_size=30) | st.sampled_from(["tiny", "auto", "markdown", "1-3", "", "nan", "-1", "1e400"])
VALUES = WORDS | st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.just([])
FIELDS = """mode prompt reference max_tokens max_tiles temperature top_p seed pages dpi password format stream
retries images words"""
NAMES = FIELDS.split()


@seed(1)
@settings(max_examples=6, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=QUIET)
@given(fields=st.dictionaries(st.sampled_from(NAMES), WORDS, max_size=4), file=st.binary(max_size=60))
def test_forms_with_odd_fields(server: Live, fields: dict[str, str], file: bytes) -> None:
    """A page that can be read, or nonsense, beside options of any kind."""
    for content in (png(64, 64), file or b"x"):
        assert server.read(content, **fields).status_code < 500


@seed(1)
@settings(max_examples=6, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=QUIET)
@given(
    fields=st.dictionaries(
        st.sampled_from([*NAMES, "n", "model", "stream_options", "max_completion_tokens"]),
        VALUES,
        max_size=4,
    )
)
def test_chats_with_odd_fields(server: Live, fields: dict[str, Any]) -> None:
    part = {"type": "image_url", "image_url": {"url": data_url(png(64, 64))}}
    body = {"messages": [{"role": "user", "content": [part]}], "mode": "tiny"} | fields
    with server.client() as client:
        assert client.post("/v1/chat/completions", json=body).status_code < 500
