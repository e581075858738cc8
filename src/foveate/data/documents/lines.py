"""Words to lines: what stands on one baseline without a gutter between."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from foveate.data.documents.characters import Word
from foveate.document import Box

BULLETS = "•●○◦▪■□▸►‣➢❖✓·∙–—-*"
MARKER = re.compile(rf"[{re.escape(BULLETS)}]|\(?(?:[0-9]{{1,3}}|[a-zA-Z]|[ivx]{{1,5}})[.)]|\[[0-9]{{1,3}}\]")
# What stands far before the words that it belongs to: the number of a section, the label of a caption.
_SECTION = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,2}){1,3}\.?")
LABEL = re.compile(
    r"(?:figure|fig\.?|table|tab\.|chart|scheme|box|exhibit|abbildung|abb\.|tabelle|tableau|figura|tabla|그림|표|图|表)"
    r"\s*[0-9A-Z]{1,3}(?:[.-][0-9]{1,2})?[.:|]?",
    re.IGNORECASE,
)
_RIGHT_TO_LEFT = frozenset({"R", "AL"})

# In ems of the smaller word's size. Words that follow each other in the file may stand further apart than
# those that only happen to be neighbours: between columns the file seldom goes on.
_FOLLOWING_GAP = 1.25
_OTHER_GAP = 0.45
_MARKER_GAP = 4.0
_LABEL_GAP = 2.5
_STRETCHED_GAP = 3.0  # in a justified line, when the line above or below runs on across the gap


@dataclass(frozen=True, eq=False)
class Line:
    """Words from the first to be read to the last, all of one direction."""

    words: tuple[Word, ...]
    box: Box

    @classmethod
    def of(cls, words: Sequence[Word]) -> Line:
        return cls(tuple(words), around(word.box for word in words))

    @cached_property
    def text(self) -> str:
        return joined(word.text for word in self.words)

    @cached_property
    def size(self) -> float:
        """Of most of its characters, in points of an em."""
        sizes: Counter[float] = Counter()
        for word in self.words:
            sizes[round(word.style.size * 2) / 2] += len(word.text)
        return max(sizes.most_common(1)[0][0], 0.5)

    @cached_property
    def baseline(self) -> float:
        main = [word.baseline for word in self.words if abs(word.style.size - self.size) < 0.15 * self.size]
        return statistics.median(main or [word.baseline for word in self.words])

    @cached_property
    def bold(self) -> bool:
        words = self.words[1:] if self.marker else self.words
        return _most(words, lambda word: word.style.bold)

    @cached_property
    def italic(self) -> bool:
        return _most(self.words, lambda word: word.style.italic)

    @property
    def angle(self) -> int:
        return self.words[0].style.angle

    @cached_property
    def right_to_left(self) -> bool:
        return is_right_to_left(self.text)

    @cached_property
    def marker(self) -> str:
        """What makes it look like the first line of a list's item; "" when nothing does."""
        first = self.words[0].text
        return first if len(self.words) > 1 and MARKER.fullmatch(first) else ""


def _most(words: Iterable[Word], test: object) -> bool:
    assert callable(test)
    counts = [(len(word.text), bool(test(word))) for word in words]
    return sum(length for length, yes in counts if yes) > 0.7 * sum(length for length, _ in counts)


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box around some."""
    first, *others = boxes
    for other in others:
        first = first.union(other)
    return first


def is_wide(character: str) -> bool:
    """Whether a character is set without spaces between words: Chinese, Japanese."""
    return unicodedata.east_asian_width(character) in "WF" and not "가" <= character <= "힣"


def joined(texts: Iterable[str]) -> str:
    """Words with spaces between them, but for where the script has none."""
    written = ""
    for text in texts:
        if not text:
            continue
        tight = written and is_wide(written[-1]) and is_wide(text[0])
        written += text if tight or not written else f" {text}"
    return written


def is_right_to_left(text: str) -> bool:
    """Whether most of its letters run from right to left."""
    classes = Counter(unicodedata.bidirectional(character) for character in text)
    backward = sum(classes[name] for name in _RIGHT_TO_LEFT)
    return backward > classes["L"]


def lines(words: Sequence[Word]) -> list[Line]:
    """The lines of a page's upright words, from the top; of turned words, one line for each run."""
    upright = [word for word in words if word.style.angle == 0]
    found = [_in_order(group) for group in _stretched(_merged(_runs(upright)))]
    turned = sorted({word.style.angle for word in words if word.style.angle})
    for angle in turned:
        found += _turned([word for word in words if word.style.angle == angle])
    return sorted(found, key=lambda line: (line.box.y0, line.box.x0))


def _runs(words: Iterable[Word]) -> list[list[Word]]:
    """Words that follow each other in the file and on the page."""
    runs: list[list[Word]] = []
    for word in sorted(words, key=lambda word: word.order):
        if runs and _follows(runs[-1], word):
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def _follows(run: list[Word], word: Word) -> bool:
    last = run[-1]
    size = min(last.style.size, word.style.size)
    gap = max(word.box.x0 - last.box.x1, last.box.x0 - word.box.x1)
    return _level(last, word) and -0.5 * size < gap < _reach(run, word) * size


def _reach(run: list[Word], word: Word) -> float:
    """How far from a run, in ems, the word that follows in the file may stand."""
    last = run[-1].text
    if len(run) == 1 and MARKER.fullmatch(last):
        return _MARKER_GAP
    numbered = len(run) == 1 and _SECTION.fullmatch(last) and word.text[:1].isalpha()
    labelled = len(run) <= 2 and LABEL.fullmatch(" ".join(part.text for part in run))
    return _LABEL_GAP if numbered or labelled else _FOLLOWING_GAP


def _level(one: Word, other: Word) -> bool:
    """Whether two words stand on one line: their bodies overlap by more than half of the lower one."""
    (top, bottom), (other_top, other_bottom) = _body(one), _body(other)
    shared = min(bottom, other_bottom) - max(top, other_top)
    return shared > 0.5 * min(bottom - top, other_bottom - other_top)


def _body(word: Word) -> tuple[float, float]:
    """From the height of a capital to the baseline, whatever letters the word has."""
    return word.baseline - 0.7 * word.style.size, word.baseline + 0.05 * word.style.size


def _merged(runs: list[list[Word]]) -> list[list[Word]]:
    """Runs that continue each other on one line, whatever their order in the file."""
    left = sorted(runs, key=lambda run: min(word.box.x0 for word in run))
    merged: list[list[Word]] = []
    rows: dict[int, list[int]] = {}  # rounded baseline -> places in `merged`
    for run in left:
        first = min(run, key=lambda word: word.box.x0)
        row = int(first.baseline // 8)
        near = [place for step in (-2, -1, 0, 1, 2) for place in rows.get(row + step, ())]
        fitting = [place for place in near if _touches(merged[place], first)]
        if fitting:
            place = min(fitting, key=lambda place: abs(_end(merged[place]).baseline - first.baseline))
            merged[place] += run
        else:
            place = len(merged)
            merged.append(list(run))
        rows.setdefault(row, [])
        if place not in rows[row]:
            rows[row].append(place)
    return merged


def _stretched(groups: list[list[Word]]) -> list[list[Word]]:
    """The pieces of justified lines together, where a line above or below shows that no gutter is there."""
    pieces = sorted((Line.of(group) for group in groups), key=lambda line: line.box.x0)
    rows: dict[int, list[Line]] = {}  # by baseline, in steps of 8 points
    for piece in pieces:
        rows.setdefault(int(piece.baseline // 8), []).append(piece)
    whole: dict[int, list[Line]] = {}
    for piece in pieces:
        row = int(piece.baseline // 8)
        for near in (row - 1, row, row + 1):
            left = next((left for left in whole.get(near, ()) if _continues(left, piece)), None)
            if left is not None and _bridged(left, piece, rows):
                whole[near].remove(left)
                piece = Line.of([*left.words, *piece.words])
                break
        whole.setdefault(int(piece.baseline // 8), []).append(piece)
    return [list(line.words) for row in whole.values() for line in row]


def _continues(left: Line, right: Line) -> bool:
    size = min(left.size, right.size)
    gap = right.box.x0 - left.box.x1
    if not -0.7 * size < gap < _STRETCHED_GAP * size or abs(left.baseline - right.baseline) > 0.3 * size:
        return False
    ends, starts = max(word.order for word in left.words), min(word.order for word in right.words)
    # A space or a line's end in the file may stand between; small signs may come from anywhere.
    small = min(len(left.text), len(right.text)) <= 2
    return 0 < starts - ends < 60 or (small and gap < size)


def _bridged(left: Line, right: Line, rows: Mapping[int, Sequence[Line]]) -> bool:
    """Whether a line right above or below runs across the gap between two pieces."""
    size = max(left.size, right.size)
    first, last = int((left.baseline - 2 * size) // 8), int((left.baseline + 2 * size) // 8)
    for line in (line for row in range(first, last + 1) for line in rows.get(row, ())):
        apart = abs(line.baseline - left.baseline)
        alike = abs(line.size - size) <= 0.1 * size and 0.5 * size < apart < 2 * size
        if alike and line.box.x0 < left.box.x1 - size and line.box.x1 > right.box.x0 + size:
            return True
    return False


def _end(run: Sequence[Word]) -> Word:
    return max(run, key=lambda word: word.box.x1)


def _touches(run: Sequence[Word], word: Word) -> bool:
    last = _end(run)
    size = min(last.style.size, word.style.size)
    reach = _OTHER_GAP
    if len(run) == 1 and MARKER.fullmatch(last.text):
        reach = _MARKER_GAP  # a bullet and its item may be far apart in the file
    return _level(last, word) and -0.7 * size < word.box.x0 - last.box.x1 < reach * size


def _in_order(group: Sequence[Word]) -> Line:
    """A line's words as they are read: from the left, or as the file has them where the script runs back."""
    if is_right_to_left(" ".join(word.text for word in group)):
        return Line.of(_backward(group))
    return Line.of(sorted(group, key=lambda word: word.box.x0))


def _backward(group: Sequence[Word]) -> list[Word]:
    """From the right; runs of numbers and of words of other scripts keep their own direction."""
    ordered: list[Word] = []
    forward: list[Word] = []
    for word in sorted(group, key=lambda word: -word.box.x1):
        if any(unicodedata.bidirectional(character) == "L" for character in word.text):
            forward.insert(0, word)
            continue
        ordered += [*forward, word]
        forward = []
    return ordered + forward


def _turned(words: Sequence[Word]) -> list[Line]:
    """Lines of words that all run down the page, up it, upside down or aslant."""
    angle = words[0].style.angle
    if angle not in (90, 180, 270):
        return [Line.of(run) for run in _slanted_runs(words)]
    straight = {word.order: _upright(word, angle) for word in words}
    back = {word.order: word for word in words}
    groups = [_in_order(group) for group in _merged(_runs(straight.values()))]
    return [Line.of([back[word.order] for word in line.words]) for line in groups]


def _upright(word: Word, angle: int) -> Word:
    """The word with the page turned so that it stands upright; only places relative to others matter."""
    box, base = word.box, word.baseline
    if angle == 90:  # reads down the page
        box, base = Box(box.y0, -box.x1, box.y1, -box.x0), -base
    elif angle == 270:  # reads up the page
        box, base = Box(-box.y1, box.x0, -box.y0, box.x1), base
    else:
        box, base = Box(-box.x1, -box.y1, -box.x0, -box.y0), -base
    return replace(word, box=box, baseline=base, style=replace(word.style, angle=0))


def _slanted_runs(words: Sequence[Word]) -> list[list[Word]]:
    runs: list[list[Word]] = []
    for word in sorted(words, key=lambda word: word.order):
        if runs and _distance(runs[-1][-1].box, word.box) < 2 * word.style.size:
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def _distance(one: Box, other: Box) -> float:
    across = max(one.x0 - other.x1, other.x0 - one.x1, 0)
    down = max(one.y0 - other.y1, other.y0 - one.y1, 0)
    return max(across, down)
