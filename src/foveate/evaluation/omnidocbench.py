"""OmniDocBench: its JSON, the folder of predictions for its own evaluator, and a quick scorer of ours.

Ouyang et al., arXiv:2412.07626; layout of version 1.5. The scorer follows the idea of its end-to-end
evaluation: the Markdown is parted into text, display formulas and tables, each is matched with the annotated
blocks (blocks.py), and text is compared without spaces, signs and markup, since that is how the benchmark
normalises it. It is quick and near, not the same: what is published should come from the official evaluator,
which takes the folder that `write_predictions` makes.

| score of a page | what it is | best |
|---|---|---|
| text_edit | edits of all text blocks over their characters, text added without need included | 0 |
| text_bleu | BLEU of the page's text in the order of the truth | 1 |
| formula_edit | the same as text_edit for display formulas, on their normalised tokens | 0 |
| formula_cdm | CDM (cdm.py), mean over the page's formulas; where there is LaTeX | 1 |
| table_teds, table_teds_structure | TEDS, mean over the page's tables | 1 |
| table_edit | edits of the tables' normalised HTML | 0 |
| order_edit | edits between the order of the blocks and the order in which they were read | 0 |

A page counts for a score only when its truth has such blocks. Running headers, captions and the like are not
scored as text: what was read of them is neither right nor wrong. CDM of formulas needs LaTeX to set them;
without it the result says so. Formulas that were added, and those whose truth cannot be set, do not count
for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foveate.errors import CorruptSource
from foveate.evaluation import cdm
from foveate.evaluation.blocks import Match, match_blocks
from foveate.evaluation.latex_render import find_renderer
from foveate.evaluation.latex_tokens import undressed
from foveate.evaluation.markdown_parts import Part, normal_formula, normal_table, normal_text, parts_of
from foveate.evaluation.pages import find_picture, opener
from foveate.evaluation.run import Case, PageResult, read_json
from foveate.evaluation.statistics import mean_interval
from foveate.evaluation.table_metrics import teds, teds_structure
from foveate.evaluation.text_metrics import bleu

TEXT = frozenset({"text_block", "title", "code_txt", "reference"})
# Matched, so that what was read of them is not taken for something added; never scored.
UNSCORED = frozenset(
    {"figure_caption", "figure_footnote", "table_caption", "table_footnote", "code_txt_caption"}
    | {"code_algorithm", "code_algorithm_caption", "equation_caption", "equation_explanation", "header"}
    | {"footer", "page_footnote", "page_number", "list_group"}
)
FORMULAS, TABLES = frozenset({"equation_isolated"}), frozenset({"table"})
NO_CDM = "left out: install LaTeX, or run the official evaluator on the folder of predictions"
BETTER_LOW = ("text_edit", "formula_edit", "table_edit", "order_edit")
SCORES = (
    *("text_edit", "text_bleu", "formula_edit", "formula_cdm", "table_teds", "table_teds_structure"),
    *("table_edit", "order_edit"),
)


@dataclass(frozen=True)
class TruthBlock:
    """An annotated block."""

    kind: str  # "text", "formula" or "table"
    text: str  # text, LaTeX or HTML
    order: float
    scored: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TruthPage:
    """A page of the benchmark."""

    image: str  # path in the folder of images
    blocks: tuple[TruthBlock, ...]  # in reading order
    attributes: Mapping[str, Any]

    @property
    def id(self) -> str:
        return Path(self.image).name


def read_benchmark(path: Path) -> list[TruthPage]:
    """The pages of OmniDocBench.json. Raises `CorruptSource` for another file."""
    values = read_json(path)
    if not isinstance(values, list):
        raise CorruptSource(f"{path} is not OmniDocBench's layout: a list of pages was expected")
    pages = []
    for number, page in enumerate(values):
        try:
            pages.append(_page(page))
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            raise CorruptSource(
                f"{path}, page {number}: {problem!r}: the layout is not OmniDocBench's"
            ) from problem
    return pages


def _page(values: Mapping[str, Any]) -> TruthPage:
    info = values["page_info"]
    dets = {det.get("anno_id", number): det for number, det in enumerate(values["layout_dets"])}
    joined, taken = _truncated(values, dets)
    blocks = []
    for name, det in dets.items():
        block = None if name in taken else _block(det, joined.get(name, ()))
        if block is not None:
            blocks.append(block)
    blocks.sort(key=lambda block: block.order)
    attributes = {key: value for key, value in (info.get("page_attribute") or {}).items() if _is_plain(value)}
    return TruthPage(str(info["image_path"]), tuple(blocks), attributes)


def _truncated(
    values: Mapping[str, Any], dets: Mapping[Any, Mapping[str, Any]]
) -> tuple[dict[Any, list[Mapping[str, Any]]], set[Any]]:
    """Blocks that a column or a page cut in two: for each first part its others, and those others' ids."""
    follows: dict[Any, Any] = {}
    for relation in (values.get("extra") or {}).get("relation") or ():
        if "truncated" in (relation.get("relation_type"), relation.get("relation")):
            follows[relation["source_anno_id"]] = relation["target_anno_id"]
    targets = {target for source, target in follows.items() if source in dets}
    joined: dict[Any, list[Mapping[str, Any]]] = {}
    taken: set[Any] = set()
    for first in dets:
        if first in targets or first not in follows:
            continue
        part = first
        while (part := follows.get(part)) in dets and part not in taken and part != first:
            taken.add(part)
            joined.setdefault(first, []).append(dets[part])
    return joined, taken


def _block(det: Mapping[str, Any], more: Sequence[Mapping[str, Any]]) -> TruthBlock | None:
    """The block of a detection; None for what is no text, or is to be ignored."""
    category = str(det["category_type"])
    if det.get("ignore"):
        return None
    order = det.get("order")
    attributes = {key: value for key, value in (det.get("attribute") or {}).items() if _is_plain(value)}
    place = float(order) if order is not None else float("inf")
    if category in FORMULAS:
        return TruthBlock("formula", str(det.get("latex") or ""), place, True, attributes)
    if category in TABLES:
        html = str(det.get("html") or "")
        return TruthBlock("table", html, place, True, attributes) if html else None
    if category in TEXT or category in UNSCORED:
        text = "".join(_text(part) for part in (det, *more))
        return TruthBlock("text", text, place, category in TEXT, attributes)
    return None


def _text(det: Mapping[str, Any]) -> str:
    """A detection's text, or that of what was merged into it."""
    own = str(det.get("text") or "")
    return own or "\n".join(str(part.get("text") or "") for part in det.get("merge_list") or ())


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, bool))


# Readings


def benchmark_cases(pages: Iterable[TruthPage], images: Path) -> list[Case]:
    """The pages as cases, with their attributes as labels. Raises `SourceNotFound` for a missing picture."""
    cases = []
    for page in pages:
        picture = find_picture(images, page.id)
        cases.append(Case(page.id, opener(picture), None, str(picture), dict(page.attributes)))
    return cases


def write_predictions(results: Iterable[PageResult], folder: Path) -> None:
    """One Markdown file for each picture, named as the official evaluator expects: page.jpg -> page.md."""
    folder.mkdir(parents=True, exist_ok=True)
    for page in results:
        name = Path(page.id).stem + ".md"
        (folder / name).write_text(page.reading.text, encoding="utf-8", errors="replace")


# Scores


def score_page(page: TruthPage, markdown: str) -> dict[str, float]:
    """The scores of a page by name; those for which its truth has no blocks are missing."""
    return PageScorer(page, parts_of(markdown)).scores()


class PageScorer:
    """One page, its truth and its reading in parts."""

    def __init__(self, page: TruthPage, parts: Sequence[Part]) -> None:
        self.page, self.parts = page, parts
        self.order: list[tuple[int, int]] = []  # (place in the reading, number of the truth's block)
        self.by_block: list[
            tuple[TruthBlock, float]
        ] = []  # each block's own score: edits, or TEDS of a table
        self.formulas: list[tuple[str, str]] = []  # LaTeX of the truth and of what was read of it

    def scores(self) -> dict[str, float]:
        found = {**self._text(), **self._formulas(), **self._tables()}
        ranked = [number for number, block in enumerate(self.page.blocks) if self._is_ranked(block)]
        if len(ranked) > 1:
            found["order_edit"] = self._order(ranked)
        return found

    @staticmethod
    def _is_ranked(block: TruthBlock) -> bool:
        return block.scored and block.order != float("inf")

    def _of(self, kind: str) -> tuple[list[int], list[int]]:
        """Numbers of the truth's blocks and of the reading's parts of a kind."""
        truths = [number for number, block in enumerate(self.page.blocks) if block.kind == kind]
        return truths, [number for number, part in enumerate(self.parts) if part.kind == kind]

    def _matched(self, kind: str, normal: Any) -> tuple[list[Match], list[int]]:
        """Matches of a kind's blocks on their normalised texts; notes in which order they were read."""
        truths, reads = self._of(kind)
        matches = match_blocks(
            [normal(self.page.blocks[number].text) for number in truths],
            [normal(self.parts[number].text) for number in reads],
        )
        for match in matches:
            if match.read:
                place = reads[match.read[0]]
                self.order += [(place, truths[number]) for number in match.truth]
        return matches, truths

    def _text(self) -> dict[str, float]:
        matches, truths = self._matched("text", normal_text)
        blocks = [self.page.blocks[number] for number in truths]
        if not any(block.scored for block in blocks):
            return {}
        counted = [m for m in matches if not m.truth or any(blocks[number].scored for number in m.truth)]
        self._note(counted, truths)
        return {"text_edit": _edit(counted), "text_bleu": self._bleu(counted, truths)}

    def _bleu(self, matches: Sequence[Match], truths: Sequence[int]) -> float:
        _, reads = self._of("text")
        truth = " ".join(self.page.blocks[truths[n]].text for m in matches for n in m.truth)
        read = " ".join(self.parts[reads[n]].text for m in matches for n in m.read)
        return bleu([truth], [read]) if truth.split() else float(not read.split())

    def _formulas(self) -> dict[str, float]:
        matches, truths = self._matched("formula", normal_formula)
        if not truths:
            return {}
        self._note(matches, truths)
        _, reads = self._of("formula")
        for match in matches:
            if match.truth:
                truth = [self.page.blocks[truths[number]].text for number in match.truth]
                read = [self.parts[reads[number]].text for number in match.read]
                self.formulas.append((_rows(truth), _rows(read)))
        return {"formula_edit": _edit(matches)}

    def _note(self, matches: Sequence[Match], truths: Sequence[int]) -> None:
        """Keeps the share of edits of each block; blocks that were read as one have it in common."""
        for match in matches:
            for number in match.truth:
                block = self.page.blocks[truths[number]]
                if block.scored:
                    self.by_block.append((block, _edit([match])))

    def _tables(self) -> dict[str, float]:
        matches, truths = self._matched("table", normal_table)
        if not truths:
            return {}
        _, reads = self._of("table")
        whole, structure = [], []
        for match in matches:
            if match.truth:
                truth = normal_table(self.page.blocks[truths[match.truth[0]]].text)
                read = normal_table(self.parts[reads[match.read[0]]].text) if match.read else ""
                whole.append(teds(truth, read))
                self.by_block.append((self.page.blocks[truths[match.truth[0]]], whole[-1]))
                structure.append(teds_structure(truth, read))
        return {
            "table_teds": sum(whole) / len(whole),
            "table_teds_structure": sum(structure) / len(structure),
            "table_edit": _edit(matches),
        }

    def _order(self, ranked: list[int]) -> float:
        from rapidfuzz.distance import Levenshtein

        read = [number for _, number in sorted(self.order) if number in set(ranked)]
        return float(Levenshtein.normalized_distance(ranked, read))


def _rows(formulas: Sequence[str]) -> str:
    """Formulas below each other as one."""
    return r" \\ ".join(map(undressed, formulas))


def _edit(matches: Sequence[Match]) -> float:
    """Edits over characters of all matches; 0 where there is no character at all."""
    length = sum(match.length for match in matches)
    return sum(match.distance for match in matches) / length if length else 0.0


def score_benchmark(
    pages: Sequence[TruthPage], results: Iterable[PageResult], seed: int = 0, with_cdm: bool = True
) -> dict[str, Any]:
    """Means over pages with intervals: of all, and for each value of each page attribute.

    A page without a reading counts as read and empty. `overall` is the benchmark's mean of three, with
    1 - formula_edit where CDM is missing, as `overall_formulas` says; None where one of them is missing.
    """
    texts = {page.id: page.reading.text for page in results}
    scorers = {page.id: PageScorer(page, parts_of(texts.get(page.id, ""))) for page in pages}
    by_page = {name: scorer.scores() for name, scorer in scorers.items()}
    no_cdm = (cdm.unavailable() if with_cdm else "it was not asked for") or ""
    total = None if no_cdm else _add_cdm(scorers, by_page, seed)
    groups: dict[str, dict[str, list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for page in pages:
        for name, value in page.attributes.items():
            groups[name][str(value)].append(by_page[page.id])
    everything = _summary(list(by_page.values()), seed)
    return {
        "all": everything,
        "overall": _overall(everything),
        "overall_formulas": "formula_cdm" if "formula_cdm" in everything else "1 - formula_edit",
        "cdm": total,
        "cdm_note": f"{NO_CDM} ({no_cdm})" if no_cdm else "",
        "groups": {
            name: {value: _summary(found, seed) for value, found in sorted(values.items())}
            for name, values in sorted(groups.items())
        },
        "block_groups": _block_groups(scorers.values(), seed),
        "by_page": by_page,
    }


def _add_cdm(
    scorers: Mapping[str, PageScorer], by_page: Mapping[str, dict[str, float]], seed: int
) -> dict[str, Any]:
    """Sets the formulas of all pages at once, adds each page's mean. Returns what holds for all formulas."""
    owners = [name for name, scorer in scorers.items() for _ in scorer.formulas]
    pairs = [pair for scorer in scorers.values() for pair in scorer.formulas]
    scores = cdm.score_formulas([truth for truth, _ in pairs], [read for _, read in pairs], seed=seed)
    found: dict[str, list[float]] = defaultdict(list)
    for name, score in zip(owners, scores, strict=True):
        if score is not None:
            found[name].append(score.f1)
    for name, values in found.items():
        by_page[name]["formula_cdm"] = sum(values) / len(values)
    counted = [score for score in scores if score is not None]
    return {
        "formulas": len(counted),
        "truth_not_settable": len(scores) - len(counted),
        "reading_not_settable": sum(
            not score.read for score, pair in zip(scores, pairs, strict=True) if score and pair[1]
        ),
        "f1": _interval([score.f1 for score in counted], seed) if counted else None,
        "exact": sum(score.exact for score in counted) / len(counted) if counted else None,
        "renderer": find_renderer(),
    }


def _block_groups(scorers: Iterable[PageScorer], seed: int) -> dict[str, Any]:
    """For each kind of block, attribute and value: how many, and their mean edits, or TEDS of tables."""
    found: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(dict))
    for scorer in scorers:
        for block, score in scorer.by_block:
            for name, value in block.attributes.items():
                found[block.kind][name].setdefault(str(value), []).append(score)
    return {
        kind: {
            name: {
                value: {"blocks": len(scores), **_interval(scores, seed)} for value, scores in values.items()
            }
            for name, values in names.items()
        }
        for kind, names in found.items()
    }


def _interval(values: Sequence[float], seed: int) -> dict[str, float]:
    interval = mean_interval(values, seed=seed)
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _summary(pages: Sequence[Mapping[str, float]], seed: int) -> dict[str, Any]:
    summary: dict[str, Any] = {"pages": len(pages)}
    for name in SCORES:
        values = [page[name] for page in pages if name in page]
        if values:
            summary[name] = {"pages": len(values), **_interval(values, seed)}
    return summary


def _overall(scores: Mapping[str, Any]) -> float | None:
    if not all(name in scores for name in ("text_edit", "table_teds", "formula_edit")):
        return None
    text, tables, formulas = (scores[name]["value"] for name in ("text_edit", "table_teds", "formula_edit"))
    formulas = scores["formula_cdm"]["value"] if "formula_cdm" in scores else 1 - formulas
    return float((1 - text + tables + formulas) / 3)
