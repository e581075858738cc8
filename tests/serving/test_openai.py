"""The official client reads, streams and counts."""

from collections.abc import Iterator

import openai
import pytest

from tests.serving import live
from tests.serving.live import TEXT, Live, data_url, pdf, png, say


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live.serve(live.reader(), live.Settings(drawing_processes=1)) as running:
        yield running


@pytest.fixture
def client(server: Live) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def page(*images: bytes, text: str | None = "markdown") -> list[dict[str, object]]:
    parts: list[dict[str, object]] = [
        {"type": "image_url", "image_url": {"url": data_url(i)}} for i in images
    ]
    return [{"role": "user", "content": parts + ([{"type": "text", "text": text}] if text else [])}]


def test_a_page(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)
    answer = client.chat.completions.create(
        model="tiny", messages=page(png()), extra_body={"mode": "tiny", "prompt": "text"}
    )
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == (TEXT, "stop")
    written = len(live.TOKENIZER.encode(TEXT))
    words = len(live.TOKENIZER.encode_prompt("<image>\nFree OCR.", 0))
    usage = answer.usage
    assert (usage.completion_tokens, usage.prompt_tokens) == (written, 64 + words)
    assert usage.total_tokens == written + 64 + words
    assert (usage.vision_tokens, usage.text_tokens, usage.pages) == (64, written, 1)
    (about,) = answer.foveate["pages"]
    assert (about["mode"], about["stop"], about["confidence"]) == ("tiny", "end", pytest.approx(0.5))


def test_a_stream(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)
    chunks = list(
        client.chat.completions.create(
            model="tiny",
            messages=page(png()),
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"mode": "tiny", "format": "raw"},
        )
    )
    pieces = [
        chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content
    ]
    assert "".join(pieces) == TEXT and len(pieces) > 5
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-1] == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == len(live.TOKENIZER.encode(TEXT))


def test_a_pdf(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, TEXT)
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url(pdf(), "application/pdf")}}
    how = {"model": "tiny", "messages": [{"role": "user", "content": [part]}], "extra_body": {"mode": "tiny"}}
    content = client.chat.completions.create(**how).choices[0].message.content
    assert content == "\n\n".join(f"<!-- page {number} -->\n\n{TEXT}" for number in (1, 2, 3))
    chunks = client.chat.completions.create(stream=True, **how)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == content
