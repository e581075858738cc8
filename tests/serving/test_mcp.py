"""Tools for agents, asked by the SDK's own client."""

import asyncio
import base64
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters

from foveate.errors import OptionError, SourceNotFound
from foveate.serving.mcp import Bounds, Desk, create_server
from tests.batches.world import Beside, pdf, picture

ROOT = Path(__file__).parents[2]
SERVER = """
import sys
from pathlib import Path
from foveate.memory import OpticalMemory
from foveate.serving.mcp import Desk, create_server
from tests.batches.world import Beside

reader = Beside()
print("a library prints this")
create_server(Desk(lambda: reader, [Path(sys.argv[1])]), OpticalMemory(sys.argv[2], reader)).run()
"""

Answer = tuple[bool, str]  # whether it went well, and the words


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What may be read, and beside it what may not."""
    pdf(tmp_path / "may" / "a.pdf", 3), picture(tmp_path / "may" / "sub" / "b.png")
    picture(tmp_path / "secret.png"), picture(tmp_path / "may-not" / "c.png")
    (tmp_path / "may" / "note.md").write_text("The key is under the flowerpot.")
    (tmp_path / "may" / "broken.pdf").write_bytes(b"%PDF-1.4 half")
    (tmp_path / "may" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "may" / "out").symlink_to(tmp_path / "may-not")
    os.mkfifo(tmp_path / "may" / "pipe.pdf")
    return tmp_path


async def ask(client: Client, tool: str, **arguments: Any) -> Answer:
    answer = await client.call_tool(tool, arguments)
    (content,) = answer.content
    return not answer.is_error, content.text  # type: ignore[union-attr]


def talk(server: Any, conversation: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with Client(server) as client:
            await conversation(client)

    asyncio.run(asyncio.wait_for(run(), 120))


def desk(folder: Path, **bounds: Any) -> Desk:
    reader = Beside()
    return Desk(lambda: reader, [folder / "may"], Bounds(**bounds))  # type: ignore[arg-type, return-value]


def over_stdio(folder: Path) -> StdioServerParameters:
    arguments = ["-c", SERVER, str(folder / "may"), str(folder / "store")]
    return StdioServerParameters(command=sys.executable, args=arguments, env={"PYTHONPATH": str(ROOT)})


def test_an_agent_reads_remembers_and_recalls_over_stdio(folder: Path) -> None:
    async def conversation(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"read", "remember", "recall"}
        assert set(tools["read"].input_schema["properties"]) == {
            "path", "content", "mode", "prompt", "pages", "format"
        }  # fmt: skip
        assert str(folder / "may") in (tools["read"].description or "")
        steps: list[tuple[float, float | None]] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            steps.append((done, total))

        answer = await client.call_tool("read", {"path": "a.pdf", "pages": "2-"}, progress_callback=progress)
        text = answer.content[0].text  # type: ignore[union-attr]
        assert "<!-- page 2 -->" in text and "100 x 60 beside" in text and "<!-- page 1 -->" not in text
        assert (0, 2) in steps and (2, 2) in steps
        well, kept = await ask(client, "remember", text="The key is under the flowerpot.", role="note")
        assert well and kept.startswith("kept as number 1: 1 pages")
        assert (await ask(client, "remember", text="The key is under the flowerpot.", role="note"))[1] == kept
        assert (await ask(client, "remember", path="a.pdf", pages="1"))[1].startswith(
            "kept as number 2: 1 pages"
        )
        assert (await ask(client, "remember", path="note.md"))[1].startswith("kept as number 3: 1 pages")
        well, found = await ask(client, "recall", query="beside", limit=3)
        assert well and "number 1 (page 1): " in found and "**beside**" in found
        assert "80 x 60 beside" in (await ask(client, "recall", number=2))[1]
        assert await ask(client, "recall", query="nowhere") == (
            True,
            "nothing found: try other or fewer words",
        )

    talk(over_stdio(folder), conversation)


def test_content_in_base64_and_formats(folder: Path) -> None:
    data = base64.b64encode((folder / "may" / "a.pdf").read_bytes()).decode()

    async def conversation(client: Client) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"read"}
        plain = await ask(client, "read", content=data, pages="1")
        assert plain[0] and "80 x 60 beside" in plain[1]
        url = await ask(client, "read", content=f"data:application/pdf;base64,{data}", pages="1", mode="tiny")
        assert url == plain
        well, json = await ask(client, "read", content=data, pages="1", format="json", prompt="ocr")
        assert well and '"source": "content"' in json and '"prompt": "ocr"' in json
        assert (await ask(client, "read", content=data, pages="1", format="text"))[0]

    talk(create_server(desk(folder)), conversation)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"path": "../secret.png"}, "outside what this server may read"),
        ({"path": "/etc/passwd"}, "outside what this server may read"),
        ({"path": "link.png"}, "outside what this server may read"),
        ({"path": "out/c.png"}, "outside what this server may read"),
        ({"path": "../may-not/c.png"}, "outside what this server may read"),
        ({"path": "../nowhere.png"}, "outside what this server may read"),
        ({"path": "a\0.pdf"}, "outside what this server may read"),
        ({"path": "none.pdf"}, "'none.pdf': no such file"),
        ({"path": "pipe.pdf"}, "no such file"),
        ({"path": "sub"}, "no such file"),
        ({"path": "https://127.0.0.1/a.pdf"}, "no such file"),
        ({"path": "broken.pdf"}, "broken.pdf: this PDF is damaged"),
        ({"path": "note.md"}, "foveate reads PDF"),
        ({"path": "a.pdf", "mode": "huge"}, "'huge' is not a mode"),
        ({"path": "a.pdf", "pages": "9"}, "none of the pages 9"),
        (
            {"path": "a.pdf"},
            "3 pages are asked for, at most 2 are read at once: choose some with pages, such as 1-2",
        ),
        ({"content": "§§§"}, "the content is not base64"),
        ({"content": "A" * 400}, "over the limit of 200 bytes"),
        ({}, "give either a path or the content"),
        ({"path": "a.pdf", "content": "QQ=="}, "give either a path or the content"),
    ],
)
def test_mistakes_are_told_to_the_agent(folder: Path, arguments: dict[str, str], complaint: str) -> None:
    bounds = {"pages": 2, "bytes": 200} if "content" in arguments else {"pages": 2}

    async def conversation(client: Client) -> None:
        well, text = await ask(client, "read", **arguments)
        assert not well and complaint in text and "secret" not in text.replace(arguments.get("path", ""), "")

    talk(create_server(desk(folder, **bounds)), conversation)


def test_a_broken_page_does_not_stop_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from foveate.batches import drawing
    from tests.batches.world import worker

    monkeypatch.setattr(drawing, "WORKER", worker(2, "os._exit(1)"))

    async def conversation(client: Client) -> None:
        well, text = await ask(client, "read", path="a.pdf")
        assert well and "<!-- page 2 could not be read: a.pdf: page 2 broke the program" in text
        assert "80 x 60 beside" in text and "120 x 60 beside" in text

    talk(create_server(desk(folder)), conversation)


def test_calls_at_the_same_time_wait_for_one_another(folder: Path) -> None:
    async def conversation(client: Client) -> None:
        calls = [ask(client, "read", path="a.pdf", pages=str(number)) for number in (1, 2, 3)]
        answers = await asyncio.gather(*calls)
        assert [
            f"{width} x 60" in text for width, (_, text) in zip((80, 100, 120), answers, strict=True)
        ] == [True] * 3

    talk(create_server(desk(folder)), conversation)


def test_without_folders_only_content_is_read(tmp_path: Path) -> None:
    reader = Beside()
    with pytest.raises(OptionError, match="opens no files: give the content"):
        Desk(lambda: reader).allowed("a.pdf")  # type: ignore[arg-type, return-value]
    with pytest.raises(SourceNotFound, match="is no folder"):
        Desk(lambda: reader, [tmp_path / "none"])  # type: ignore[arg-type, return-value]
