"""All that nano's card says of its reading, from one command.

    python scripts/nano/evaluate.py --out runs/evaluation                    # hours on two cores
    python scripts/nano/evaluate.py --out runs/evaluation --pages-per-point 3 --ratios 4,10

Books that training never saw (the held-out split of text.py) are set on pages at rising density and read in
Tiny and Small, as prose and as random letters, clean and degraded; tesseract reads the same Small pages where
it is installed. Then some whole pages, and the speed. It goes on where it stopped; `report.html` shows all.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

from text import TextSource

from foveate.cli import main as foveate
from foveate.engine.reader import Options, Reader
from foveate.pages.image import PageImage
from foveate.pages.render import Style, render
from foveate.pages.source import open_pages

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "src" / "foveate" / "assets"
SCANS = ROOT.parent / "shared" / "documents" / "scans"
CARD_STYLE = Style(width=1024, height=1024, size=22)


def held_out(out: Path, corpus: str, cache: str) -> Path:
    """The books that were held out, one document after the other."""
    source = TextSource(corpus, "heldout", cache)
    path = out / "heldout.txt"
    path.write_text("\f".join(source.book(number) for number in range(len(source))), encoding="utf-8")
    return path


def curves(out: Path, text: Path, options: argparse.Namespace) -> list[Path]:
    """Precision against compression, for every case that the card speaks of."""
    readers = [(options.model, mode) for mode in ("tiny", "small")]
    if shutil.which("tesseract"):
        readers.append(("tesseract", "small"))
    cases: tuple[tuple[str, list[str]], ...] = (
        ("prose", []),
        ("letters", ["--letters"]),
        ("degraded", ["--degrade", "0.5"]),
    )
    runs = []
    for reader, mode in readers:
        for name, more in cases:
            path = out / f"{Path(reader).name}-{mode}-{name}.json"
            command = ["eval", "curve", "--text", str(text), "--reader", reader, "--mode", mode, *more]
            command += ["--pages-per-point", str(options.pages_per_point), "--prompt", "text"]
            command += ["--json", str(path), "--ratios", options.ratios]
            command += ["--tokenizer", str(options.tokenizer)] if options.tokenizer.exists() else []
            run(command)
            runs.append(path)
    return runs


def whole_pages(out: Path, options: argparse.Namespace) -> Path:
    """The README's page, the card as a PDF, and a clean scan."""
    folder = out / "pages"
    folder.mkdir(exist_ok=True)
    card = " ".join((ASSETS / "nano" / "MODEL_CARD.md").read_text(encoding="utf-8").split("\n\n")[1].split())
    render(card, CARD_STYLE)[0].image.save(folder / "card.pdf")
    texts = {"demo": (ASSETS / "demo" / "page.txt").read_text(encoding="utf-8"), "card": card}
    pictures = {"demo": ASSETS / "demo" / "page.png", "card": folder / "card.pdf"}
    if SCANS.is_dir():
        texts["phototest"] = (SCANS / "phototest.gold.txt").read_text(encoding="utf-8")
        pictures["phototest"] = SCANS / "phototest.tif"
    for name, source in pictures.items():
        next(open_pages(source)).image.convert("RGB").save(folder / f"{name}.png")
    lines = [json.dumps({"id": name, "text": text}) for name, text in texts.items()]
    (folder / "pages.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = out / "pages.json"
    run(
        [
            "eval",
            "run",
            "--pages",
            str(folder / "pages.jsonl"),
            "--reader",
            options.model,
            "--json",
            str(path),
        ]
    )
    return path


def speed(text: Path, model: str) -> dict[str, float]:
    """Text tokens a second, for one Small page and for a batch of eight."""
    reader = Reader.load(model)
    style = Style(width=640, height=640, size=14)
    drawn = render(text.read_text(encoding="utf-8")[:40000], style, 8)
    pages = [PageImage("speed", page.number, page.image.convert("RGB")) for page in drawn]
    how = Options(mode="small", prompt="text", retries=0, returns=0)  # what is taken back was written too
    list(reader.read_pages(iter(pages[:1]), how))  # the first reading pays for much
    rates = {}
    for name, batch in (("one page", pages[:1]), ("eight pages", pages)):
        began = time.perf_counter()
        tokens = sum(page.text_tokens for _, page in reader.read_pages(iter(batch), how, len(batch)))
        rates[name] = tokens / (time.perf_counter() - began)
    return rates


def run(command: list[str]) -> None:
    print("==> foveate", " ".join(command), flush=True)
    if code := foveate(command):
        raise SystemExit(code)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the results")
    add("--model", default="nano")
    add("--pages-per-point", type=int, default=200)
    add("--ratios", default="4,5,7,10,12,15,20")
    add("--corpus", default="../shared/corpus")
    add("--cache", default="runs/cache", help="folder for the unpacked text")
    add("--tokenizer", type=Path, default=Path("../shared/checkpoint/tokenizer.json"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    text = held_out(options.out, options.corpus, options.cache)
    runs = [*curves(options.out, text, options), whole_pages(options.out, options)]
    for name, rate in speed(text, options.model).items():
        print(f"{name}: {rate:.0f} text tokens a second")
    report = ["eval", "report", *map(str, runs), "--out", str(options.out / "report.html")]
    run(
        [
            *report,
            "--title",
            f"How {Path(options.model).name} reads",
            "--figures",
            str(options.out / "figures"),
        ]
    )


if __name__ == "__main__":
    main()
