r"""Formulas, code, emphasis and tags inside a paragraph, as a flat list of pieces.

The model writes formulas as \( … \) and \[ … \], sometimes as $ … $, emphasis as Markdown and a few HTML
tags. Its output is untrusted and may be cut anywhere: whatever does not pair is text, nothing is lost, and
every function here is linear in its input.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from foveate.document.symbols import readable

KEPT_TAGS = {"b": "strong", "strong": "strong", "i": "em", "em": "em", "u": "u", "s": "s", "small": "small",
             "sup": "sup", "sub": "sub"}  # fmt: skip
DROPPED_TAGS = frozenset({"center", "span", "font", "div", "p", "img"})
BREAKING_TAGS = frozenset({"<br", "</p", "</div"})

_MARK = re.compile(r"\\\\|\\[()\[\]$]|`+|\$\$?|\n[ \t]*\n")
_TOKEN = re.compile(r"\\[*_#$`|~<>&%]|\*+|_+|</?[A-Za-z][A-Za-z0-9]*\b[^<>]*>|(?<! ) {2,}\n")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_CENTER = re.compile(r"</?center\s*>", re.IGNORECASE)
_FORMULA_SIGNS = re.compile(r"[\\^_={}]")
_EMPHASIS = {1: ("em",), 2: ("strong",), 3: ("strong", "em")}


@dataclass(frozen=True)
class Piece:
    """A stretch of a paragraph.

    kind: "text", "code", "math" (in a line), "display" (a formula of its own), "break", or "open" and
    "close" of an element. value: what to show, or the element's name. raw: as it was written.
    """

    kind: str
    value: str
    raw: str = ""


def decode(text: str) -> str:
    """The text with its HTML entities replaced; only whole ones, so that URLs keep their ampersands."""
    return _ENTITY.sub(lambda entity: html.unescape(entity.group()), text)


def uncentered(text: str) -> str:
    """The text without the <center> tags that the model puts around captions."""
    return _CENTER.sub("", text).strip() if "<" in text else text


def verbatim(text: str) -> list[Piece]:
    """The text cut into formulas, code and, between them, text that is still Markdown."""
    pieces: list[Piece] = []
    position = 0
    for start, end, kind, value in _verbatim_spans(text):
        if start > position:
            pieces.append(Piece("text", text[position:start], text[position:start]))
        pieces.append(Piece(kind, value, text[start:end]))
        position = end
    if position < len(text):
        pieces.append(Piece("text", text[position:], text[position:]))
    return pieces


def _verbatim_spans(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Start, end, kind and content of each formula and each stretch of code, in order."""
    marks = list(_MARK.finditer(text))
    ticks = [index for index, mark in enumerate(marks) if mark.group() == "`"]
    pending: re.Match[str] | None = None
    index = 0
    while index < len(marks):
        mark = marks[index]
        sign = mark.group()
        if sign == "`" and (pending is None or pending.group() == "$"):
            closing = _closing_tick(text, marks, ticks, index)
            if closing is not None:
                pending = None
                yield mark.start(), marks[closing].end(), "code", text[mark.end() : marks[closing].start()]
                index = closing
        elif pending is not None and _closes(text, pending, mark):
            kind = "math" if pending.group() in ("\\(", "$") else "display"
            yield pending.start(), mark.end(), kind, text[pending.end() : mark.start()].strip()
            pending = None
        else:
            pending = _next_pending(text, pending, mark)
        index += 1


def _closing_tick(text: str, marks: list[re.Match[str]], ticks: list[int], index: int) -> int | None:
    """The mark that ends code begun at `index`: on the same line, with no space at either end."""
    after = bisect_right(ticks, index)
    if after == len(ticks):
        return None
    content = text[marks[index].end() : marks[ticks[after]].start()]
    fine = content and "\n" not in content and content == content.strip()
    return ticks[after] if fine else None


def _closes(text: str, opening: re.Match[str], mark: re.Match[str]) -> bool:
    sign = {"\\(": "\\)", "\\[": "\\]"}.get(opening.group(), opening.group())
    if mark.group() != sign or mark.start() == opening.end():
        return False
    return sign != "$" or _is_dollar_formula(text, opening.end(), mark.start())


def _is_dollar_formula(text: str, start: int, end: int) -> bool:
    """Whether dollars around text[start:end] mean a formula: in documents most of them are prices."""
    if text[end - 1].isspace() or text[end + 1 : end + 2].isdigit():
        return False
    body = text[start:end]
    return (len(body) == 1 and body.isalpha()) or bool(_FORMULA_SIGNS.search(body))


def _next_pending(text: str, pending: re.Match[str] | None, mark: re.Match[str]) -> re.Match[str] | None:
    """The formula that is open after a mark that closed none."""
    sign = mark.group()
    if sign.startswith("\n"):
        return None  # no formula holds an empty line
    opened = pending.group() if pending else ""
    if sign in ("\\[", "$$") or (sign == "\\(" and opened not in ("\\[", "$$")):
        return pending if sign == "$$" and opened in ("\\[", "\\(") else mark
    if sign == "$" and opened in ("", "$"):
        return mark if text[mark.end() : mark.end() + 1].strip() else None
    return pending


def pieces(text: str) -> list[Piece]:
    """A paragraph's pieces; "open" and "close" are always balanced and properly nested."""
    found: list[Piece] = []
    for piece in verbatim(text):
        found += _tokens(piece.value) if piece.kind == "text" else [piece]
    return list(_balanced(_paired(found)))


def _tokens(text: str) -> Iterator[Piece]:
    """Text cut at escapes, tags, line breaks and runs of * and _ (kind "run")."""
    position = 0
    for match in _TOKEN.finditer(text):
        if match.start() > position:
            yield Piece("text", decode(text[position : match.start()]))
        yield _token(match.group())
        position = match.end()
    if position < len(text):
        yield Piece("text", decode(text[position:]))


def _token(token: str) -> Piece:
    if token[0] in "*_":
        return Piece("run", token)
    if token[0] == "\\":
        return Piece("text", token[1:])
    if token[0] == " ":
        return Piece("break", "")
    name = token.strip("</>").split()[0].rstrip("/").lower()
    if name in KEPT_TAGS:
        return Piece("close" if token[1] == "/" else "open", KEPT_TAGS[name])
    if token[: len(name) + 2].lower().rstrip(">/ ") in BREAKING_TAGS:
        return Piece("break", "")
    return Piece("text", "" if name in DROPPED_TAGS else token)


def _paired(found: list[Piece]) -> list[Piece]:
    """Runs of * and _ that embrace something become strong and em; the others become text."""
    result: list[list[Piece]] = [[piece] for piece in found]
    opened: list[int] = []
    waiting: Counter[str] = Counter()
    for index, piece in enumerate(found):
        if piece.kind != "run":
            continue
        run = piece.value
        result[index] = [Piece("text", run)]
        before, after = _edge(found, index - 1, -1), _edge(found, index + 1, 0)
        if waiting[run] and not before.isspace() and not _joins(run, after):
            while found[start := opened.pop()].value != run:
                waiting[found[start].value] -= 1
            waiting[run] -= 1
            elements = _EMPHASIS[len(run)]
            result[start] = [Piece("open", element) for element in elements]
            result[index] = [Piece("close", element) for element in reversed(elements)]
        elif len(run) in _EMPHASIS and not after.isspace() and not _joins(run, before):
            opened.append(index)
            waiting[run] += 1
    return [piece for group in result for piece in group]


def _edge(found: list[Piece], index: int, end: int) -> str:
    """The character of a neighbouring piece that touches a run; a space at the paragraph's ends."""
    if not 0 <= index < len(found):
        return " "
    piece = found[index]
    if piece.kind == "break":
        return " "
    return piece.value[end] if piece.kind in ("text", "run") and piece.value else "."


def _joins(run: str, character: str) -> bool:
    # snake_case and 2*3 are no emphasis; Chinese has no spaces around its own.
    return character.isalnum() and (run[0] == "_" or character.isascii())


def _balanced(found: list[Piece]) -> Iterator[Piece]:
    stack: list[str] = []
    for piece in found:
        if piece.kind == "open":
            # An element inside itself says nothing new, and the depth stays bounded.
            if piece.value in stack:
                continue
            stack.append(piece.value)
        elif piece.kind == "close":
            if piece.value not in stack:
                continue
            while stack[-1] != piece.value:
                yield Piece("close", stack.pop())
            stack.pop()
        yield piece
    for element in reversed(stack):
        yield Piece("close", element)


def plain(text: str) -> str:
    """A paragraph's words: no tags, no emphasis; formulas in plain characters, or else as bare LaTeX."""
    return "".join(_plain_piece(piece) for piece in pieces(text))


def _plain_piece(piece: Piece) -> str:
    if piece.kind in ("math", "display"):
        return readable(piece.value)
    return {"break": "\n", "open": "", "close": ""}.get(piece.kind, piece.value)


def dollars(text: str) -> str:
    r"""Markdown with its \( … \) and \[ … \] as $ … $ and $$ … $$; code and all else untouched.

    Where such formulas come in, other dollar signs are escaped: they are prices.
    """
    found = verbatim(text)
    if not any(piece.raw.startswith(("\\(", "\\[")) for piece in found):
        return text
    return "".join(_dollar_piece(piece) for piece in found)


def _dollar_piece(piece: Piece) -> str:
    if piece.kind == "text":
        return re.sub(r"\\.|\$", lambda m: "\\$" if m.group() == "$" else m.group(), piece.raw)
    if not piece.raw.startswith(("\\(", "\\[")) or not piece.value:
        return piece.raw
    return math_in_dollars(piece)


def math_in_dollars(piece: Piece) -> str:
    """A formula between dollars, as Markdown renderers want it: nothing blank inside single ones."""
    body = re.sub(r"(?<!\\)((?:\\\\)*)\\$", r"\1", piece.value).strip()
    if piece.kind == "math":
        return "$" + " ".join(body.split()) + "$"
    return f"$$\n{body}\n$$" if "\n" in body else f"$${body}$$"


def as_html(text: str, *, dollar_math: bool = False) -> str:
    """A paragraph as safe HTML: every character escaped, and no tags but the ones written here."""
    return "".join(_html_piece(piece, dollar_math) for piece in pieces(text))


def _html_piece(piece: Piece, dollar_math: bool) -> str:
    if piece.kind == "open":
        return f"<{piece.value}>"
    if piece.kind == "close":
        return f"</{piece.value}>"
    if piece.kind == "break":
        return "<br>"
    if piece.kind in ("math", "display"):
        if dollar_math:
            return escape(" ".join(math_in_dollars(piece).split()))
        display = " display" if piece.kind == "display" else ""
        return f'<code class="math{display}">{escape(piece.value)}</code>'
    return f"<code>{escape(piece.value)}</code>" if piece.kind == "code" else escape(piece.value)


def escape(text: str) -> str:
    """Text fit for HTML's text and quoted attributes: escaped, without characters HTML has no place for."""
    fit = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]", "", text)
    return html.escape(re.sub("[\ud800-\udfff]", "\ufffd", fit))
