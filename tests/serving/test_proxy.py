"""The proxy in front of a small endpoint of the tests' own, over real sockets."""

import asyncio
import base64
import io
import json
import logging
import socket
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

httpx = pytest.importorskip("httpx")
openai = pytest.importorskip("openai")
uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("uharfbuzz")
from starlette.applications import Starlette  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse, Response, StreamingResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402

from foveate.errors import OptionError  # noqa: E402
from foveate.pages.render import fonts  # noqa: E402
from foveate.serving.proxy import create_proxy  # noqa: E402
from foveate.serving.proxy_settings import ProxySettings, key_of, upstream_of  # noqa: E402

post, get, delete = (partial(ask, timeout=120) for ask in (httpx.post, httpx.get, httpx.delete))
WORDS = "A sentence of the talk that grew long and longer, as talks with machines do these days. "
CALL = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
SECRET = "the secret word is xylophone"


@dataclass
class Endpoint:
    """Answers chats, and remembers what it was asked. `gate`: a stream's second chunk waits for it."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/{path:path}", self.other, methods=["GET", "POST", "DELETE"]),
            ]
        )

    async def _take(self, request: Request) -> bytes:
        body = await request.body()
        self.raw.append(body)
        self.headers.append(dict(request.headers))
        query = f"?{request.url.query}" if request.url.query else ""
        self.paths.append(request.scope["raw_path"].decode().partition("?")[0] + query)
        return body

    async def chat(self, request: Request) -> Response:
        body = await self._take(request)
        try:
            asked = json.loads(body)
        except ValueError:
            return JSONResponse({"error": {"message": "no JSON", "type": "invalid_request_error"}}, 400)
        self.asked.append(asked)
        if asked["model"] == "broken":
            error = {"message": "slow down", "type": "rate_limit_error", "code": "rate_limited"}
            return JSONResponse({"error": error}, 429, {"retry-after": "7", "x-request-id": "r-1"})
        if asked.get("stream"):
            return StreamingResponse(self._stream(), media_type="text/event-stream", headers={"x-up": "1"})
        message: dict[str, Any] = {"role": "assistant", "content": "Hello"}
        if asked.get("tools"):
            message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        return JSONResponse(_completion({"message": message, "finish_reason": "stop"}), headers={"x-up": "1"})

    async def _stream(self) -> AsyncIterator[str]:
        try:
            yield _event({"role": "assistant", "content": "one "})
            while not self.gate.is_set():
                await asyncio.sleep(0.005)
            yield _event({"content": "two"})
            yield "data: [DONE]\n\n"
        finally:
            self.left.set()

    async def other(self, request: Request) -> Response:
        await self._take(request)
        if request.url.path == "/v1/packed":
            head = {"content-encoding": "gzip", "set-cookie": "a=1"}
            packer = zlib.compressobj(wbits=31)
            return Response(packer.compress(b'{"packed": true}') + packer.flush(), 203, head)
        if request.url.path == "/v1/moved":
            return Response(status_code=307, headers={"location": "https://example.org/"})
        if request.url.path == "/v1/models":
            model = {"id": "m", "object": "model", "created": 1, "owned_by": "t"}
            return JSONResponse({"object": "list", "data": [model]})
        return JSONResponse({"detail": "not found"}, 404)


def _completion(choice: dict[str, Any]) -> dict[str, Any]:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, **choice}]}  # fmt: skip


def _event(delta: dict[str, Any]) -> str:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
             "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}  # fmt: skip
    return f"data: {json.dumps(chunk)}\n\n"


@contextmanager
def running(app: Starlette) -> Iterator[str]:
    """The app on a free port; its address."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        started = threading.Event()
        startup = server.startup

        async def tell(sockets: Any = None) -> None:
            await startup(sockets)
            started.set()

        server.startup = tell
        thread.start()
        assert started.wait(20)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[Endpoint, str]]:
    if not fonts.families():
        pytest.skip("needs fonts")
    endpoint = Endpoint()
    with running(endpoint.app()) as url:
        yield endpoint, url


@pytest.fixture
def endpoint(behind: tuple[Endpoint, str]) -> Endpoint:
    found = behind[0]
    for seen in (found.asked, found.headers, found.raw, found.paths):
        seen.clear()
    found.gate.set()
    found.left.clear()
    return found


@pytest.fixture(scope="module")
def front(behind: tuple[Endpoint, str]) -> Iterator[str]:
    with running(create_proxy(ProxySettings(f"{behind[1]}/v1", budget=4000, provider="qwen2.5-vl"))) as url:
        yield url


@pytest.fixture
def client(front: str) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{front}/v1", api_key="client-key", max_retries=0) as one:
        yield one


def talk(turns: int = 100) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    for turn in range(turns):
        found.append({"role": "user", "content": f"Question {turn}: {WORDS * 2}"})
        found.append({"role": "assistant", "content": f"Answer {turn}: {WORDS * 2}"})
    return [*found, {"role": "user", "content": "And now?"}]


def test_a_hundred_turns_are_cut_to_the_budget(client: Any, endpoint: Endpoint) -> None:
    from foveate.memory.providers import get_provider
    from foveate.memory.turns import message_tokens
    from foveate.pages.text_tokens import estimate

    messages = talk()
    answer = client.chat.completions.with_raw_response.create(model="m", messages=messages, temperature=0.5)
    assert answer.parse().choices[0].message.content == "Hello"
    (asked,) = endpoint.asked
    assert asked["temperature"] == 0.5 and asked["messages"][0] == messages[0]
    provider = get_provider("qwen2.5-vl")
    before, after = (
        sum(message_tokens(m, estimate, provider) for m in found) for found in (messages, asked["messages"])
    )
    assert before > 8000 and after <= 4000
    told = answer.headers
    assert (int(told["x-foveate-tokens-before"]), int(told["x-foveate-tokens-after"])) == (before, after)
    pictures = [part for part in asked["messages"][1]["content"] if part["type"] == "image_url"]
    assert len(pictures) == int(told["x-foveate-images"]) > 0
    data = pictures[0]["image_url"]["url"].partition(",")[2]
    assert Image.open(io.BytesIO(base64.b64decode(data))).format == "PNG"
    assert asked["messages"][-1] == messages[-1]


def test_a_short_talk_goes_on_byte_for_byte(front: str, endpoint: Endpoint) -> None:
    body = b'{ "model":"m",\n "messages": [{"role":"user","content":"hi \\u00e4"}], "odd": 1e2 }'
    answer = post(f"{front}/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert endpoint.raw == [body] and answer.headers["x-foveate-tokens-saved"] == "0"


def test_a_stream_comes_chunk_by_chunk(client: Any, endpoint: Endpoint) -> None:
    """The first chunk is here while the second is held back."""
    endpoint.gate.clear()
    with client.chat.completions.create(model="m", messages=talk(), stream=True) as stream:
        chunks = iter(stream)
        assert next(chunks).choices[0].delta.content == "one "
        assert not endpoint.left.is_set()
        endpoint.gate.set()
        assert next(chunks).choices[0].delta.content == "two"
        assert list(chunks) == []
    assert any(isinstance(m["content"], list) for m in endpoint.asked[0]["messages"])


def test_upstream_is_let_go_with_the_client(front: str, endpoint: Endpoint) -> None:
    endpoint.gate.clear()
    body = {"model": "m", "messages": talk(1), "stream": True}
    with httpx.stream("POST", f"{front}/v1/chat/completions", json=body, timeout=60) as answer:
        assert next(answer.iter_raw()).startswith(b"data: ")
    assert endpoint.left.wait(20)


def test_tool_calls_pass_through(client: Any, endpoint: Endpoint) -> None:
    messages = talk()
    messages[-1:] = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call-1", "content": "sunny"},
    ]
    answer = client.chat.completions.create(model="m", messages=messages, tools=TOOLS)
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "weather" and json.loads(call.function.arguments) == {"city": "Ulm"}
    (asked,) = endpoint.asked
    assert asked["tools"] == TOOLS and asked["messages"][-2:] == messages[-2:]


def test_errors_pass_through(client: Any, front: str, endpoint: Endpoint) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="broken", messages=talk(2))
    assert caught.value.response.headers["retry-after"] == "7" and caught.value.code == "rate_limited"
    assert caught.value.response.headers["x-request-id"] == "r-1"
    answer = post(f"{front}/v1/chat/completions", content=b"{broken")
    assert answer.status_code == 400 and answer.json()["error"]["message"] == "no JSON"
    assert endpoint.raw[-1] == b"{broken"


def test_other_endpoints_pass_through(client: Any, front: str, endpoint: Endpoint) -> None:
    assert [model.id for model in client.models.list()] == ["m"]
    answer = get(f"{front}/v1/packed?a=1&b=%2F", headers={"accept-encoding": "gzip"})
    assert answer.status_code == 203 and answer.json() == {"packed": True}
    assert answer.headers["content-encoding"] == "gzip" and answer.headers["set-cookie"] == "a=1"
    assert endpoint.paths[-1] == "/v1/packed?a=1&b=%2F"
    assert delete(f"{front}/v1/files/a%2Fb").status_code == 404 and endpoint.paths[-1] == "/v1/files/a%2Fb"
    assert get(f"{front}/v1/moved").status_code == 307  # not followed
    endpoint.headers.clear()
    post(
        f"{front}/v1/files",
        content=b"\0\xff",
        headers={"x-own": "1", "x-foveate-budget": "9", "te": "trailers"},
    )
    (sent,) = endpoint.headers
    assert sent["x-own"] == "1" and endpoint.raw[-1] == b"\0\xff"
    assert not any(name.startswith("x-foveate") or name == "te" for name in sent)


def test_the_path_cannot_leave_the_endpoint(front: str) -> None:
    port = int(front.rpartition(":")[2])
    for path in ("/v1/../secret", "/v1/%2e%2e/secret"):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            assert line.makefile("rb").readline().split()[1] == b"400"


def test_keys(behind: tuple[Endpoint, str], front: str, endpoint: Endpoint) -> None:
    """The client's key goes on, unless the upstream's was given at the start."""
    chat = {"model": "m", "messages": talk(1)}
    head = {"authorization": "Bearer mine"}
    post(f"{front}/v1/chat/completions", json=chat, headers=head)
    with running(create_proxy(ProxySettings(f"{behind[1]}/v1", key="upstream-key"))) as other:
        post(f"{other}/v1/chat/completions", json=chat, headers=head)
        assert "upstream-key" not in get(f"{other}/foveate/status").text
    assert [sent["authorization"] for sent in endpoint.headers] == ["Bearer mine", "Bearer upstream-key"]
    assert "upstream-key" not in repr(ProxySettings("http://x", key="upstream-key"))


def test_a_dry_run_changes_nothing_and_tells(front: str, endpoint: Endpoint) -> None:
    body = json.dumps({"model": "m", "messages": talk()}).encode()
    dry = post(f"{front}/v1/chat/completions", content=body, headers={"x-foveate-dry-run": "true"})
    assert endpoint.raw == [body] and int(dry.headers["x-foveate-tokens-saved"]) > 3000
    estimate = post(f"{front}/foveate/estimate", content=body, headers={"x-foveate-budget": "3000"})
    account = estimate.json()
    assert account["after"] <= 3000 < account["before"] and len(endpoint.raw) == 1
    assert account["images"] > 0 and account["bytes_after"] > account["bytes_before"]


def test_a_request_may_have_its_own_budget(front: str, endpoint: Endpoint) -> None:
    body = json.dumps({"model": "m", "messages": talk(30)}).encode()
    off = post(f"{front}/v1/chat/completions", content=body, headers={"x-foveate-budget": "off"})
    assert endpoint.raw == [body] and "x-foveate-images" not in off.headers
    less = post(f"{front}/v1/chat/completions", content=body, headers={"x-foveate-budget": "1500"})
    assert int(less.headers["x-foveate-tokens-after"]) <= 1500
    wrong = post(f"{front}/v1/chat/completions", content=body, headers={"x-foveate-budget": "many"})
    assert wrong.status_code == 400 and "x-foveate-budget" in wrong.json()["error"]["message"]
    assert post(f"{front}/foveate/estimate", content=b"[]").status_code == 400


@pytest.mark.parametrize(
    "messages", [[{"role": "user"}], [{"content": "x"}], ["x"], [], [{"role": "user", "content": {"a": [1]}}]]
)
def test_odd_messages_go_on_for_upstream_to_judge(
    messages: list[Any], front: str, endpoint: Endpoint
) -> None:
    body = json.dumps({"model": "m", "messages": messages}).encode()
    answer = post(f"{front}/v1/chat/completions", content=body)
    assert answer.status_code == 200 and endpoint.raw == [body]


def test_upstream_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings = ProxySettings(f"http://127.0.0.1:{nobody.getsockname()[1]}/v1", cache=tmp_path)
        with running(create_proxy(settings)) as url:
            answer = post(f"{url}/v1/chat/completions", json={"model": "m", "messages": talk(1)})
            assert answer.status_code == 502 and "upstream" in answer.json()["error"]["message"]
            assert "upstream_failures_total 1" in get(f"{url}/foveate/metrics").text


def test_too_much_is_refused(behind: tuple[Endpoint, str], endpoint: Endpoint) -> None:
    with running(create_proxy(ProxySettings(f"{behind[1]}/v1", max_bytes=1000))) as url:
        answer = post(f"{url}/v1/chat/completions", content=b"x" * 2000)
        assert answer.status_code == 413 and "--max-bytes" in answer.json()["error"]["message"]
    assert not endpoint.raw


def test_counts_and_logs_hold_no_content(
    behind: tuple[Endpoint, str], endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [{"role": "user", "content": SECRET}, *talk()[1:]]
    caplog.set_level(logging.INFO, "foveate.proxy")
    with running(create_proxy(ProxySettings(f"{behind[1]}/v1", budget=4000, provider="qwen2.5-vl"))) as url:
        for _ in range(2):
            post(f"{url}/v1/chat/completions?key=hidden", json={"model": "m", "messages": messages})
        status, metrics = get(f"{url}/foveate/status").json(), get(f"{url}/foveate/metrics").text
    totals = status["totals"]
    assert totals["packed"] == 2 and totals["statuses"] == {"200": 2} and totals["tokens_saved"] > 6000
    assert status["pages"]["hits"] >= status["pages"]["misses"] > 0  # the second request rendered nothing
    assert 'foveate_proxy_requests_total{status="200"} 2' in metrics
    said = metrics + json.dumps(status) + "".join(str(vars(record)) for record in caplog.records)
    assert "xylophone" not in said and "hidden" not in said and "Question" not in said
    assert [record.fields["status"] for record in caplog.records if record.name == "foveate.proxy"] == [
        200,
        200,
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"upstream": "localhost:8000"}, {"upstream": "ftp://x"}, {"upstream": "http://a:b@x"}, {"budget": 0},
     {"key": "two\nlines"}, {"provider": "none"}, {"timeout": 0}, {"recent": 2}],
)  # fmt: skip
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        ProxySettings(**{"upstream": "http://x/v1", **wrong})


def test_upstream_and_key_of_the_environment() -> None:
    told: dict[str, Callable[[], Any]] = {
        "--upstream": lambda: upstream_of(None, {}),
        "MY_KEY": lambda: key_of("MY_KEY", {}),
    }
    for way_out, ask in told.items():
        with pytest.raises(OptionError, match=way_out):
            ask()
    assert upstream_of(None, {"FOVEATE_UPSTREAM": "http://x/v1/"}) == "http://x/v1"
    assert key_of(None, {}) is None and key_of(None, {"FOVEATE_UPSTREAM_KEY": "k"}) == "k"
    assert key_of("MY_KEY", {"MY_KEY": "m"}) == "m"
