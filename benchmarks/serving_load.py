"""Many clients at once against the real server with the embedded model.

    python benchmarks/serving_load.py [--clients 64] [--seconds 120] [--alone 40]

One client asks for one page after another, then many clients do so at the same time; both ask for the same
pages, as documents, as chats and as streams. Prints pages a second, answers by status and the memory of the
server.
"""

import argparse
import asyncio
import base64
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import httpx
import psutil
from PIL import Image, ImageDraw, ImageFont

PAGE = Path(__file__).parents[1] / "src/foveate/assets/demo/page.png"
TEXTS = (
    "The ship came home\nin the evening, and\nthe people stood on\nthe shore to see it.",
    "He had never been\nin the house before,\nand he did not know\nwhere to go.",
    "It was a cold day\nin the spring of the\nyear, and the wind\nwas from the north.",
)


@dataclass
class Tally:
    """What one side of the comparison has done."""

    pages: int = 0
    tokens: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0  # seconds of the server's processes

    def join(self, other: "Tally") -> None:
        self.pages, self.tokens = self.pages + other.pages, self.tokens + other.tokens
        self.statuses += other.statuses
        self.waits += other.waits
        self.seconds, self.cpu = self.seconds + other.seconds, self.cpu + other.cpu

    @property
    def rate(self) -> float:
        return self.pages / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--alone", type=float, default=40, help="seconds of one client alone")
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "foveate", "serve", "--port", "0", "--work", work]
        command += ["--log-level", "warning", "--batch-size", str(options.batch_size)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split(" at ")[1].split()[0]
            asyncio.run(compare(url, psutil.Process(server.pid), options))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


async def compare(url: str, process: psutil.Process, options: argparse.Namespace) -> None:
    """Both sides and the table."""
    pages = [PAGE.read_bytes(), *map(drawn, TEXTS)]
    await load(url, process, pages, 1, 3)  # the first pages pay for what is made once
    # One client before and one after, because other work on the machine comes and goes.
    alone = await load(url, process, pages, 1, options.alone / 2)
    memory: list[tuple[float, float]] = []
    many = await load(url, process, pages, options.clients, options.seconds, memory)
    alone.join(await load(url, process, pages, 1, options.alone / 2))
    print("| clients | pages | pages/s | server CPU s/page | tokens/s | median s | 95% s | answers |")
    print("|---|---|---|---|---|---|---|---|")
    for count, tally in ((1, alone), (options.clients, many)):
        waits = sorted(tally.waits)
        answers = ", ".join(f"{status}: {n}" for status, n in sorted(tally.statuses.items()))
        print(
            f"| {count} | {tally.pages} | {tally.rate:.2f} | {tally.cpu / max(1, tally.pages):.3f} | "
            f"{tally.tokens / tally.seconds:.0f} | {waits[len(waits) // 2]:.2f} | "
            f"{waits[int(0.95 * len(waits))]:.2f} | {answers} |"
        )
    print(f"\nthroughput: {many.rate / alone.rate:.2f} x one request after another "
          f"(CPU time a page: {alone.cpu / alone.pages / (many.cpu / many.pages):.2f} x less)")  # fmt: skip
    print("memory of the server and its drawing processes, MiB: " + ", ".join(
        f"{seconds:.0f} s {size:.0f}" for seconds, size in memory))  # fmt: skip
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


async def load(
    url: str,
    process: psutil.Process,
    pages: list[bytes],
    clients: int,
    seconds: float,
    memory: list[tuple[float, float]] | None = None,
) -> Tally:
    """So many clients, each with one request after another, for so long."""
    tally = Tally()
    started, before = time.monotonic(), cpu_seconds(process)
    until = started + seconds
    async with httpx.AsyncClient(
        base_url=url, timeout=300, limits=httpx.Limits(max_connections=None)
    ) as http:
        tasks = [asyncio.create_task(client(http, pages, number, until, tally)) for number in range(clients)]
        while time.monotonic() < until:
            if memory is not None:
                memory.append((time.monotonic() - started, resident(process)))
            await asyncio.sleep(min(max(1.0, seconds / 8), max(0.0, until - time.monotonic())))
        await asyncio.gather(*tasks)
        if memory is not None:
            memory.append((time.monotonic() - started, resident(process)))
    tally.seconds = time.monotonic() - started
    tally.cpu = cpu_seconds(process) - before
    return tally


async def client(
    http: httpx.AsyncClient, pages: list[bytes], number: int, until: float, tally: Tally
) -> None:
    count = number
    while time.monotonic() < until:
        page, started = pages[count % len(pages)], time.monotonic()
        try:
            status, tokens = await (read, chat, stream)[count % 3](http, page)
        except httpx.HTTPError as problem:
            status, tokens = type(problem).__name__, 0
        tally.statuses[str(status)] += 1
        if status == 200:
            tally.pages += 1
            tally.tokens += tokens
            tally.waits.append(time.monotonic() - started)
        else:
            await asyncio.sleep(1)
        count += 1


async def read(http: httpx.AsyncClient, page: bytes) -> tuple[int, int]:
    answer = await http.post(
        "/v1/read", files={"file": ("a.png", page)}, data={"prompt": "text", "mode": "tiny"}
    )
    return answer.status_code, int(answer.headers.get("x-foveate-text-tokens", 0))


async def chat(http: httpx.AsyncClient, page: bytes) -> tuple[int, int]:
    answer = await http.post("/v1/chat/completions", json=question(page))
    tokens = answer.json()["usage"]["completion_tokens"] if answer.status_code == 200 else 0
    return answer.status_code, tokens


async def stream(http: httpx.AsyncClient, page: bytes) -> tuple[int, int]:
    body = question(page) | {"stream": True, "stream_options": {"include_usage": True}}
    async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = [line async for line in answer.aiter_lines()]
    whole = answer.status_code != 200 or lines[-2:] == ["data: [DONE]", ""] or "data: [DONE]" in lines
    return answer.status_code if whole else 0, 0


def question(page: bytes) -> dict[str, object]:
    url = "data:image/png;base64," + base64.b64encode(page).decode()
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "text"}]
    return {"model": "nano", "messages": [{"role": "user", "content": parts}], "mode": "tiny"}


def drawn(text: str) -> bytes:
    """A page of large print."""
    image = Image.new("RGB", (512, 512), "white")
    ImageDraw.Draw(image).multiline_text((24, 60), text, "black", ImageFont.load_default(46), spacing=24)
    saved = BytesIO()
    image.save(saved, "PNG")
    return saved.getvalue()


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def cpu_seconds(process: psutil.Process) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in family(process))


def resident(process: psutil.Process) -> float:
    """MiB."""
    return sum(one.memory_info().rss for one in family(process)) / 2**20


if __name__ == "__main__":
    main()
