"""What is in a folder of shards: a table and a picture."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate.data.shards import read_note, read_rows, shard_files
from foveate.errors import OptionError
from foveate.pages.mode import AUTO, choose_mode
from foveate.pages.tokenizer import Tokenizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ["kind", "task", "language", "width", "height", "turns"]
MOST = 16  # bars of a picture and rows of a table; the rest is summed up


@dataclass
class Statistics:
    """Counts and sizes of the samples of a folder. The tokens are those of one tokenizer and one mode."""

    mode: str = AUTO
    shards: int = 0
    bytes: int = 0
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind and task
    languages: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind and reason
    widths: array[int] = field(default_factory=lambda: array("i"))  # pixels
    heights: array[int] = field(default_factory=lambda: array("i"))
    ratios: array[float] = field(default_factory=lambda: array("f"))  # text tokens to vision tokens
    text_tokens: Counter[str] = field(default_factory=Counter)  # by kind
    vision_tokens: Counter[str] = field(default_factory=Counter)

    @property
    def samples(self) -> int:
        return self.kinds.total()

    def add(self, row: dict[str, Any], tokenizer: Tokenizer) -> None:
        """Counts one sample."""
        kind, answers = row["kind"], [turn["text"] for turn in row["turns"] if turn["role"] == "assistant"]
        tokens = sum(len(tokenizer.encode(answer)) for answer in answers)
        self.kinds[kind, row["task"]] += 1
        self.languages[row["language"]] += 1
        self.text_tokens[kind] += tokens
        if row["width"]:
            size = row["width"], row["height"]
            vision = choose_mode(self.mode, *size).layout(*size).vision_tokens
            self.vision_tokens[kind] += vision
            self.widths.append(size[0])
            self.heights.append(size[1])
            self.ratios.append(tokens / vision)

    def to_dict(self) -> dict[str, Any]:
        """The statistics as JSON values."""
        return {
            "samples": self.samples,
            "shards": self.shards,
            "bytes": self.bytes,
            "mode": self.mode,
            "kinds": [
                {
                    "kind": kind,
                    "task": task,
                    "samples": count,
                    "text_tokens": self.text_tokens[kind],
                    "vision_tokens": self.vision_tokens[kind],
                }
                for (kind, task), count in self.kinds.most_common()
            ],
            "languages": dict(self.languages.most_common()),
            "skipped": [
                {"kind": kind, "reason": reason, "samples": count}
                for (kind, reason), count in self.skipped.most_common()
            ],
            "width": spread(self.widths),
            "height": spread(self.heights),
            "ratio": spread(self.ratios),
        }


def measure(
    folder: Path, tokenizer: Tokenizer, mode: str = AUTO, tick: Callable[[], None] = lambda: None
) -> Statistics:
    """The statistics of a shard or a folder of shards; pictures are not decoded."""
    found = Statistics(mode)
    for shard in shard_files(folder):
        found.shards += 1
        found.bytes += shard.stat().st_size
        found.skipped.update((miss["kind"], miss["reason"]) for miss in read_note(shard)["skipped"])
        for row in read_rows(shard, COLUMNS):
            found.add(row, tokenizer)
            tick()
    return found


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Least, median, mean and greatest; None of nothing."""
    if not len(values):
        return None
    numbers = np.asarray(values, dtype=np.float64)
    parts = {
        "least": numbers.min(),
        "median": np.median(numbers),
        "mean": numbers.mean(),
        "greatest": numbers.max(),
    }
    return {name: round(float(value), 3) for name, value in parts.items()}


def table(found: Statistics) -> Iterator[str]:
    """The statistics in lines of text."""
    yield f"{found.samples:,} samples in {found.shards:,} shards, {found.bytes / 1e6:,.1f} MB"
    yield ""
    yield f"{'kind':<16}{'task':<8}{'samples':>9}{'share':>8}" + (
        f"{'text tokens':>13}{'vision tokens':>15}{'ratio':>7}"
    )
    for (kind, task), count in found.kinds.most_common():
        text, vision = found.text_tokens[kind], found.vision_tokens[kind]
        ratio = f"{text / vision:.2f}" if vision else "-"
        yield (
            f"{kind:<16}{task:<8}{count:>9,}{count / found.samples:>8.1%}{text:>13,}{vision:>15,}{ratio:>7}"
        )
    yield from _counts("language", found.languages, found.samples)
    yield from _sizes(found)
    yield from _counts("skipped because", Counter({reason: n for (_, reason), n in found.skipped.items()}), 0)


def _counts(title: str, counts: Counter[str], whole: int) -> Iterator[str]:
    if not counts:
        return
    yield ""
    yield title
    for name, count in _few(counts):
        share = f"{count / whole:>8.1%}" if whole else ""
        yield f"  {name or 'none':<20} {count:>9,}{share}"


def _few(counts: Counter[str]) -> list[tuple[str, int]]:
    """The most common, and the rest as one."""
    few = counts.most_common(MOST)
    rest = counts.total() - sum(count for _, count in few)
    return [*few, (f"{len(counts) - MOST} others", rest)] if rest else few


def _sizes(found: Statistics) -> Iterator[str]:
    if not found.ratios:
        return
    yield ""
    yield f"{'of pictures':<22}{'least':>9}{'median':>9}{'mean':>9}{'greatest':>9}"
    for name, values in (("width", found.widths), ("height", found.heights), ("ratio", found.ratios)):
        parts = spread(values) or {}
        yield f"  {name:<20}" + "".join(
            f"{part:>9.2f}" if name == "ratio" else f"{part:>9.0f}" for part in parts.values()
        )


def chart(found: Statistics) -> bytes:
    """A PNG of kinds, languages, sizes of pictures and the histogram of compression ratios."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise OptionError("the picture needs matplotlib: pip install 'foveate[data]'") from missing
    figure = Figure(figsize=(12, 8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    kinds, languages, sizes, ratios = figure.subplots(2, 2).flat
    _bars(kinds, "samples by kind", Counter({kind: n for (kind, _), n in found.kinds.items()}))
    _bars(languages, "samples by language", found.languages)
    _points(sizes, found)
    _histogram(ratios, found)
    figure.suptitle(f"{found.samples:,} samples in {found.shards:,} shards, {found.bytes / 1e6:,.1f} MB")
    figure.savefig(content := BytesIO(), format="png")
    return content.getvalue()


def _bars(axes: Axes, title: str, counts: Counter[str]) -> None:
    names, values = zip(*reversed(_few(counts)), strict=True) if counts else ((), ())
    bars = axes.barh([name or "none" for name in names], values, color="#33658a")
    axes.bar_label(bars, [f"{value:,}" for value in values], padding=3, fontsize=8)
    axes.set_title(title)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)


def _points(axes: Axes, found: Statistics) -> None:
    axes.scatter(found.widths, found.heights, s=6, alpha=0.3, color="#f26419", linewidths=0)
    axes.set(title="sizes of pictures", xlabel="width, pixels", ylabel="height, pixels")
    axes.spines[["top", "right"]].set_visible(False)


def _histogram(axes: Axes, found: Statistics) -> None:
    axes.hist(found.ratios, bins=40, color="#2f9e6e")
    if found.ratios:
        mean = float(np.mean(found.ratios))
        axes.axvline(mean, color="black", linewidth=1, linestyle="--", label=f"mean {mean:.2f}")
        axes.legend(frameon=False)
    title = f"compression: text tokens to vision tokens, mode {found.mode}"
    axes.set(title=title, xlabel="ratio", ylabel="samples")
    axes.spines[["top", "right"]].set_visible(False)
