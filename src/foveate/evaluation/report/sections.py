"""Runs as sections of a report: what each kind of run has to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from foveate.evaluation import scoring
from foveate.evaluation.compare import Comparison, page_scores
from foveate.evaluation.omnidocbench import SCORES
from foveate.evaluation.report.charts import Cell, Dots, Heat, Lines, Point, Series, Table
from foveate.evaluation.report.compression import REFERENCE_COLOUR, curve_section, fox_section
from foveate.evaluation.report.page import Section
from foveate.evaluation.report.readings import worst_of_run, worst_pages
from foveate.evaluation.run import Run

MEASURES = ("edit_similarity", "cer", "word_precision", "word_recall", "word_f1", "bleu", "meteor")
MIB = 1 << 20


def sections(runs: Sequence[Run], comparison: Comparison | None = None) -> list[Section]:
    """The parts that the runs have something for, in a fixed order; a reader keeps its colour."""
    colours = {name: number for number, name in enumerate(dict.fromkeys(run.name for run in runs))}
    found: list[Section] = []
    if comparison is not None:
        found.append(compared(comparison))
    for kind, make in _KINDS.items():
        of_kind = [run for run in runs if run.setup.kind == kind]
        if of_kind:
            found.append(make(of_kind, colours))
    return [*found, speed(runs), setups(runs)]


# Text


def _texts(runs: Sequence[Run], colours: Mapping[str, int]) -> Section:
    judged = [run for run in runs if "plain" in run.scores]
    names = ("edit_similarity", "word_precision", "word_recall", "word_f1", "bleu")
    dots = Dots(
        "Without format: means over pages",
        "score",
        names,
        tuple(
            Series(
                run.name,
                tuple(
                    _point(number + _shift(place, len(judged)), run.scores["plain"][name], name)
                    for number, name in enumerate(names)
                ),
                colour=colours[run.name],
            )
            for place, run in enumerate(judged)
        ),
    )
    pages = Lines(
        "Page by page, each reader's from worst to best",
        "pages, %",
        "1 - normalised edit distance",
        tuple(_sorted_pages(run, colours[run.name]) for run in judged),
        (0.0, 1.0),
    )
    tables = tuple(_measures(judged, form) for form in scoring.FORMS)
    intro = (
        "Text against what stands on the pages. Without format, the signs of Markdown, line ends, hyphens at "
        "line ends and the shapes of quotes do not count. Bars are 95% bootstrap intervals over pages."
    )
    worst = tuple(
        raw
        for run in judged
        for raw in worst_of_run(
            [(page, scoring.headline(page)) for page in run.pages if page.truth is not None], 1
        )
        if len(judged) == 1
    )
    return Section("Text", intro, (dots, pages, *tables, _behaviour(runs), *worst))


def _sorted_pages(run: Run, colour: int) -> Series:
    values = sorted(page_scores(run)[1].items(), key=lambda pair: pair[1])
    step = 100 / max(1, len(values) - 1)
    points = tuple(Point(number * step, value, note=name) for number, (name, value) in enumerate(values))
    return Series(run.name, points, colour=colour)


def _measures(runs: Sequence[Run], form: str) -> Table:
    rows = tuple((run.name, *(run.scores[form][name]["value"] for name in MEASURES)) for run in runs)
    title = "All measures, without format" if form == "plain" else "All measures, text as it is"
    return Table(title, ("reader", *MEASURES), rows, "Less is better for cer; more for all others.")


def _behaviour(runs: Sequence[Run]) -> Table:
    def share(run: Run, name: str) -> Cell:
        found = run.scores.get(name)
        return None if found is None else f"{found['count']} ({found['value']:.0%})"

    rows = tuple(
        (run.name, len(run.pages), *(share(run, name) for name in ("loops", "cut", "errors"))) for run in runs
    )
    note = "Loops: the reader stopped for one, or most of its text came twice. Cut: it ran out of room."
    return Table("Pages that went wrong", ("reader", "pages", "loops", "cut", "errors"), rows, note)


def _point(x: float, score: Mapping[str, Any], note: str) -> Point:
    return Point(x, score["value"], score.get("low"), score.get("high"), note)


def _shift(place: int, count: int) -> float:
    """Sidewards, so that readers do not hide one another."""
    return (place - (count - 1) / 2) * min(0.16, 0.6 / max(1, count))


# Rules


def _rules(runs: Sequence[Run], colours: Mapping[str, int]) -> Section:
    kinds = tuple(dict.fromkeys(kind for run in runs for kind in run.scores["kinds"]))
    series = tuple(
        Series(
            run.name,
            tuple(
                Point(number + _shift(place, len(runs)), rate["rate"], rate["low"], rate["high"], kind)
                for number, kind in enumerate(kinds)
                if (rate := run.scores["kinds"].get(kind)) is not None
            ),
            colour=colours[run.name],
        )
        for place, run in enumerate(runs)
    )
    rows = tuple(
        (run.name, *(_rate(run.scores["kinds"].get(kind)) for kind in kinds), _rate(run.scores["all"]))
        for run in runs
    )
    failed = tuple(
        Table(
            f"Failed by {run.name}",
            ("rule", "kind", "page", "why"),
            tuple(
                (rule["id"], rule["type"], rule["page"], rule["why"])
                for rule in run.scores["rules"]
                if not rule["passed"]
            ),
        )
        for run in runs
    )
    table = Table("Passed", ("reader", *kinds, "all"), rows)
    intro = "Small facts about pages, in the manner of olmOCR-bench. Bars are 95% intervals (Wilson)."
    return Section("Rules", intro, (Dots("Rules passed", "share", kinds, series), table, *failed))


def _rate(rate: Mapping[str, Any] | None) -> Cell:
    return None if rate is None else f"{rate['passed']} of {rate['total']} ({rate['rate']:.0%})"


# OmniDocBench


def _benchmark(runs: Sequence[Run], colours: Mapping[str, int]) -> Section:
    head = ("reader", *SCORES, "overall")
    rows = tuple(
        (run.name, *(_value(run.scores["all"], name) for name in SCORES), run.scores["overall"])
        for run in runs
    )
    note = "text_edit, formula_edit, table_edit and order_edit: less is better. CDM: " + str(
        runs[0].scores["cdm_note"]
    )
    tables = [Table("All pages", head, rows, note)]
    for run in runs:
        for attribute, values in run.scores["groups"].items():
            rows = tuple(
                (value, group["pages"], *(_value(group, name) for name in SCORES))
                for value, group in values.items()
            )
            tables.append(Table(f"{run.name} by {attribute}", (attribute, "pages", *SCORES), rows))
        tables += _block_tables(run)
    return Section("OmniDocBench", "Our quick scores; the official evaluator decides.", tuple(tables))


def _block_tables(run: Run) -> list[Table]:
    """Blocks by their own attributes."""
    tables = []
    for kind, attributes in run.scores["block_groups"].items():
        what = "TEDS" if kind == "table" else "edits"
        rows = tuple(
            (f"{name}: {value}", group["blocks"], group["value"], group["low"], group["high"])
            for name, values in attributes.items()
            for value, group in values.items()
        )
        if rows:
            title = f"{run.name}: {kind} blocks by attribute"
            tables.append(Table(title, ("attribute", "blocks", what, "low", "high"), rows))
    return tables


def _value(scores: Mapping[str, Any], name: str) -> Cell:
    found = scores.get(name)
    return None if found is None else float(found["value"])


# Honesty


def _honesty(runs: Sequence[Run], colours: Mapping[str, int]) -> Section:
    kinds = ("prose", "shuffled", "letters", "numbers", "uuids", "lookalikes")
    dots = Dots(
        "Text that cannot be guessed",
        "1 - normalised edit distance",
        kinds,
        tuple(
            Series(
                run.name,
                tuple(
                    _point(number + _shift(place, len(runs)), run.scores[kind]["all"], kind)
                    for number, kind in enumerate(kinds)
                    if kind in run.scores
                ),
                colour=colours[run.name],
            )
            for place, run in enumerate(runs)
        ),
    )
    items: list[Any] = [dots] if any(series.points for series in dots.series) else []
    dense = [run for run in runs if "density" in run.scores]
    if dense:
        items.append(
            Lines(
                "The same page at rising density",
                "characters on the page",
                "1 - normalised edit distance",
                tuple(_density(run, colours[run.name]) for run in dense),
                (0.0, 1.0),
            )
        )
    for run in runs:
        items += [chart for chart in (_needle(run), _damages(run)) if chart is not None]
    intro = (
        "Where language helps a reader to guess, prose scores above the same words shuffled, and both above "
        "letters and digits by dice. Blank sheets must give nothing."
    )
    return Section("Honesty", intro, (*items, _honest_table(runs)))


def _density(run: Run, colour: int) -> Series:
    variants = run.scores["density"]["variants"].values()
    points = (_point(v["characters"], v, f"{v['size']:g} pixel type") for v in variants)
    return Series(run.name, tuple(sorted(points, key=lambda point: point.x)), colour=colour)


def _needle(run: Run) -> Heat | None:
    if "needle" not in run.scores:
        return None
    cells = {(cell["depth"], cell["length"]): cell["likeness"] for cell in run.scores["needle"]["cells"]}
    depths, lengths = sorted({depth for depth, _ in cells}), sorted({length for _, length in cells})
    return Heat(
        f"Needle in a haystack: {run.name}",
        "pages of text",
        "depth",
        tuple(map(str, lengths)),
        tuple(f"{depth:.0%}" for depth in depths),
        tuple(tuple(cells.get((depth, length)) for length in lengths) for depth in depths),
    )


def _damages(run: Run) -> Heat | None:
    if "degraded" not in run.scores:
        return None
    cells: dict[tuple[str, float], float] = {}
    for name, variant in run.scores["degraded"]["variants"].items():
        if variant["strength"]:
            cells[name.split(" ")[0], variant["strength"]] = variant["value"]
    if not cells:
        return None
    names, strengths = list(dict.fromkeys(name for name, _ in cells)), sorted({s for _, s in cells})
    values = tuple(tuple(cells.get((name, strength)) for strength in strengths) for name in names)
    columns = tuple(f"{strength:g}" for strength in strengths)
    return Heat(f"Damaged pages: {run.name}", "strength", "damage", columns, tuple(names), values)


def _honest_table(runs: Sequence[Run]) -> Table:
    head = (
        "reader",
        "prose less shuffled",
        "blank sheets silent",
        "needles found",
        "rotated 90",
        "180",
        "270",
        "loops",
    )
    rows = []
    for run in runs:
        scores = run.scores
        blank, needle = scores.get("blank"), scores.get("needle")
        turned = scores.get("rotated", {}).get("variants", {})
        rows.append(
            (
                run.name,
                scores.get("language_prior"),
                f"{blank['silent']} of {blank['pages']}" if blank else None,
                f"{needle['found']:.0%}" if needle else None,
                *(_value(turned, angle) for angle in ("90", "180", "270")),
                f"{scores['loops']['count']} of {len(run.pages)}" if scores.get("loops") else None,
            )
        )
    return Table("Other tests", head, tuple(rows))


# All runs


def speed(runs: Sequence[Run]) -> Section:
    """Throughput and memory of every run."""
    head = (
        *("reader", "what", "pages", "seconds per page", "CPU s per page", "pages/s", "text tokens/s"),
        *("memory, MiB", "of a program, MiB", "CUDA, MiB"),
    )
    rows = []
    for run in (run for run in runs if run.throughput["seconds"]):  # not texts from a folder
        speed, memory = run.throughput, run.throughput["memory"]
        pages = max(1, speed["pages"])
        cpu = speed.get("cpu_seconds")
        rows.append(
            (
                *(run.name, run.setup.kind, speed["pages"]),
                speed["seconds"] / pages,
                cpu / pages if cpu is not None else None,
                *(speed["pages_per_second"], speed["text_tokens_per_second"]),
                *(_mib(memory[name]) for name in ("process", "largest_child", "cuda")),
            )
        )
    note = (
        "Seconds are of the wall, loading not counted; text tokens are of what was read, by nano's "
        "tokenizer. Memory is the peak of the whole process."
    )
    return Section("Speed and memory", "", (Table("Throughput and memory", head, tuple(rows), note),))


def _mib(size: int | None) -> Cell:
    return None if size is None else round(size / MIB)


def setups(runs: Sequence[Run]) -> Section:
    """What has run where, so that it can be repeated."""
    rows = tuple(
        (
            run.name,
            run.setup.kind,
            run.setup.data,
            run.setup.seed,
            " ".join(f"{name} {version}" for name, version in run.versions.items()),
            f"{run.hardware['gpu'] or run.hardware['processor']}, {run.hardware['cores']} cores",
            run.finished,
        )
        for run in runs
    )
    head = ("reader", "what", "data", "seed", "versions", "hardware", "finished")
    return Section("Setup", "", (Table("Runs", head, rows),))


def compared(comparison: Comparison) -> Section:
    """Two runs against one another, with the pages on which they differ most."""
    difference, (first, second) = comparison.difference, comparison.means
    rows: tuple[tuple[Cell, ...], ...] = (
        (comparison.first.name, first, None, None, None),
        (comparison.second.name, second, None, None, None),
        ("second less first", difference.value, difference.low, difference.high, difference.p),
    )
    table = Table(
        comparison.what, ("", "mean", "low", "high", "p"), rows, "Paired bootstrap over pages.", wide=False
    )
    series = Series(
        "a page",
        tuple(Point(pair.first_score, pair.second_score, note=pair.id) for pair in comparison.pairs),
        joined=False,
    )
    lowest = min(min(pair.first_score, pair.second_score) for pair in comparison.pairs)
    low = max(0.0, lowest - 0.05)
    diagonal = Series("equal", (Point(low, low), Point(1, 1)), reference=True, colour=REFERENCE_COLOUR)
    names = comparison.first.name, comparison.second.name
    chart = Lines("Page against page", names[0], names[1], (diagonal, series), (low, 1.0))
    return Section(
        "Comparison",
        f"{len(comparison.pairs)} pages that both have read.",
        (chart, table, *worst_pages(comparison)),
    )


_KINDS = {
    "run": _texts,
    "fox": fox_section,
    "curve": curve_section,
    "rules": _rules,
    "omnidocbench": _benchmark,
    "honesty": _honesty,
}
