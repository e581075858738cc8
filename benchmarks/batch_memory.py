"""Memory of a batch over one PDF of many pages: of all its processes together, as it goes.

    python benchmarks/batch_memory.py --pages 3000

Makes the PDF (text on every page, a scan on every tenth), reads it with as few tokens as there can be, and
adds up the resident memory of the batch and its drawing processes; what they share is counted for each.
`--random` reads with a small random network instead of nano, many times faster.
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from foveate.config import ClipConfig, DecoderConfig, OCRConfig, SamConfig
from foveate.model import weights
from foveate.model.ocr import OCR
from foveate.model.source import ASSETS
from foveate.pages.tokenizer import TOKENIZER_NAME, Tokenizer

EVERY = 0.5  # seconds between two looks
LINES = 45


def write_pdf(path: Path, pages: int) -> None:
    """Writes a PDF of so many A4 pages, object by object."""
    places: list[int] = []
    with path.open("wb") as file:

        def put(number: int, body: bytes) -> None:
            places.extend([0] * (number + 1 - len(places)))
            places[number] = file.tell()
            file.write(b"%d 0 obj\n" % number + body + b"\nendobj\n")

        file.write(b"%PDF-1.4\n")
        kids = b" ".join(b"%d 0 R" % (4 + 3 * page) for page in range(pages))
        put(1, b"<< /Type /Catalog /Pages 2 0 R >>")
        put(2, b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, kids))
        put(3, b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
        for page in range(pages):
            for number, body in enumerate(_page(page), 4 + 3 * page):
                put(number, body)
        start = file.tell()
        file.write(b"xref\n0 %d\n0000000000 65535 f \n" % len(places))
        file.writelines(b"%010d 00000 n \n" % place for place in places[1:])
        file.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(places), start))


def _page(page: int) -> Iterator[bytes]:
    """A page's three objects: itself, its content, its picture."""
    own = 4 + 3 * page
    scanned = page % 10 == 0
    yield (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << "
        b"/Font << /F 3 0 R >> /XObject << /I %d 0 R >> >> >>" % (own + 1, own + 2)
    )
    lines = b"".join(b"(page %d, line %d of the long book) Tj T*\n" % (page + 1, n) for n in range(LINES))
    picture = b"q 400 0 0 500 100 100 cm /I Do Q\n" if scanned else b""
    yield _stream(b"", picture + b"BT /F 12 Tf 16 TL 50 800 Td\n" + lines + b"ET")
    side = 1600 if scanned else 1
    pixels = np.random.default_rng(page).integers(0, 256, (side // 8 + 1,) * 2, dtype=np.uint8)
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
    image.save(content := io.BytesIO(), "JPEG")
    kind = b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray" % image.size
    yield _stream(kind + b" /BitsPerComponent 8 /Filter /DCTDecode", content.getvalue())


def _stream(entries: bytes, content: bytes) -> bytes:
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(content), content)


def random_model(folder: Path) -> Path:
    """A small network with random weights, of nano's vocabulary."""
    tokenizer = Tokenizer.load(ASSETS / "nano")
    sam = SamConfig(16, 2, 2, global_attn_indexes=(1,), downsample_channels=(24, 32), neck_channels=16)
    decoder = DecoderConfig(
        hidden_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
        intermediate_size=64, moe_intermediate_size=24, n_routed_experts=8, num_experts_per_tok=3,
        vocab_size=len(tokenizer) + 5,
    )  # fmt: skip
    config = OCRConfig(sam, ClipConfig(32, 2, 2, mlp_width=48), decoder)
    network = OCR(replace(config, image_token_id=tokenizer.image))
    folder.mkdir()
    weights.save(network, folder)
    shutil.copy(ASSETS / "nano" / TOKENIZER_NAME, folder)
    return folder


def resident(process: psutil.Process) -> tuple[int, int]:
    """Bytes of a process and of all below it: their sum, and the process alone."""
    try:
        own = process.memory_info().rss
        others = 0
        for child in process.children(recursive=True):
            try:
                others += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return own + others, own
    except psutil.NoSuchProcess:
        return 0, 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=3000)
    parser.add_argument("--random", action="store_true", help="a small random network, not nano")
    parser.add_argument("--dpi", default="144")
    parser.add_argument("--workers", default="2")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp())
    try:
        write_pdf(work / "book.pdf", options.pages)
        model = str(random_model(work / "model")) if options.random else "nano"
        line = [sys.executable, "-m", "foveate", "batch", str(work / "book.pdf"), "--out", str(work / "out")]
        line += ["--mode", "tiny", "--retries", "0", "--max-tokens", "1", "--format", "jsonl", "--quiet"]
        line += ["--dpi", options.dpi, "--workers", options.workers, "--model", model]
        began, looks = time.monotonic(), []
        with subprocess.Popen(line) as process:
            watched = psutil.Process(process.pid)
            while process.poll() is None:
                looks.append(resident(watched))
                time.sleep(EVERY)
        seconds = time.monotonic() - began
        size = (work / "book.pdf").stat().st_size
        text = (work / "out" / "documents" / "part-00000.jsonl").read_bytes()
    finally:
        shutil.rmtree(work)
    print(f"{options.pages} pages, PDF of {size / 2**20:.0f} MiB, output of {len(text) / 2**20:.1f} MiB")
    print(f"{seconds:.0f} s, exit code {process.returncode}")
    for part in (0.25, 0.5, 0.75, 1.0):
        some = looks[: max(1, round(part * len(looks)))]
        total, own = max(some), max(own for _, own in some)
        print(f"most memory until {part:.0%}: {total[0] / 2**20:.0f} MiB in all, {own / 2**20:.0f} MiB alone")


if __name__ == "__main__":
    main()
