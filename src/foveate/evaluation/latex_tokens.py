r"""LaTeX formulas as visible tokens, each in a colour of its own.

`paint` writes a formula anew with `\C{n}` before each sign, which switches the colour to number n from there
on, as the ink flows onto the page. A switch is no group and no atom, so that spaces, marks and limits stay
where they are. Ink that comes after what a command holds (the bar of a fraction after its numerator, a sum
after its upper limit) gets its colour back at the end of that.

What nobody sees goes, and what is layout: explicit spaces, `\displaystyle`, `\label`, `\tag`, frames. Names
of functions and dots are signs letter by letter, so `\sin` is `\mathrm{sin}` and `\ldots` is `...`. Matrices
with delimiters are delimiters around a matrix. Weight and slant make no difference; blackboard, calligraphic
and Fraktur letters do.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from foveate.evaluation import latex_symbols as known

MOST_TOKENS = 2000  # of one formula; so many colours are told apart
DEEPEST = 60
_TOKEN = re.compile(r"\\(?:[a-zA-Z]+|.)|\s+|.", re.DOTALL)
_LENGTH = re.compile(r"\[\s*-?[\d.]+\s*(?:pt|em|ex|mm|cm|in|mu|bp)\s*\]")
_COMMENT = re.compile(r"(?<!\\)%.*")
_PLAIN = frozenset("+-*/=<>()[]|.,;:!?@") | frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)
_IN_TEXT = _PLAIN | frozenset("'\"`")
_ESCAPED = frozenset([r"\{", r"\}", r"\%", r"\$", r"\#", r"\&", r"\_"])
_SPACES = frozenset([r"\,", r"\;", r"\:", r"\!", r"\>", r"\ ", r"\/", r"\-", "~", "\\\n", "\\\t"])
_DOTS = {
    **dict.fromkeys(("ldots", "dots", "dotsc", "dotso", "mathellipsis"), ("ldotp", ".")),
    **dict.fromkeys(("cdots", "dotsb", "dotsm", "dotsi"), ("cdotp", "cdot")),
}
_SIGNS = """
×=times ÷=div ·=cdot ±=pm ∓=mp ≤=leq ≥=geq ≠=neq ≈=approx ≡=equiv ∼=sim ∞=infty ∑=sum ∏=prod ∫=int ∂=partial
∇=nabla →=rightarrow ←=leftarrow ⇒=Rightarrow ⇔=Leftrightarrow ∈=in ∉=notin ⊂=subset ⊆=subseteq ∪=cup ∩=cap
∀=forall ∃=exists ∅=emptyset ⟨=langle ⟩=rangle ∥=Vert ∠=angle ⊥=perp △=triangle ⋯=cdots ∝=propto ℓ=ell ℏ=hbar
∴=therefore ∵=because
"""
_UNICODE = {pair[0]: f"\\{pair[2:]} " for pair in _SIGNS.split()}
_UNICODE |= dict(zip("−–′’‘∗。、“”", "--'''*.,\"\"", strict=True))
_UNICODE |= {"…": "...", "″": "''", "°": r"{}^{\circ}"}


class NotSettable(ValueError):
    """A formula that is not to be set: broken, or with commands that no formula needs."""


@dataclass(frozen=True)
class Painted:
    r"""A formula with switches of colours. Token number n has the label `labels[n]`."""

    source: str
    labels: tuple[str, ...]


def paint(latex: str) -> Painted:
    """The formula to be set, and its visible tokens. Raises `NotSettable`."""
    painter = _Painter(_TOKEN.findall(_spelled(latex)))
    source = painter.formula()
    if not painter.labels:
        raise NotSettable("there is nothing to see")
    return Painted(source, tuple(painter.labels))


def undressed(latex: str) -> str:
    """The formula without the dollars or brackets around it."""
    text = latex.strip()
    for start, end in (("$$", "$$"), (r"\[", r"\]"), (r"\(", r"\)"), ("$", "$")):
        if text.startswith(start) and text.endswith(end) and len(text) >= len(start) + len(end):
            return text[len(start) : -len(end)].strip()
    return text


def _spelled(latex: str) -> str:
    """The formula without comments, with commands for letters that have some."""
    text = undressed(_COMMENT.sub("", latex))
    return "".join(letter if letter.isascii() else _ascii(letter) for letter in text)


def _ascii(letter: str) -> str:
    """The command of a letter of Unicode, its plain form, or itself."""
    if letter in _UNICODE:
        return _UNICODE[letter]
    words = unicodedata.name(letter, "").split()
    if words[:1] == ["GREEK"] and len(words) == 4 and words[2] == "LETTER":
        name = words[3].lower().replace("lamda", "lambda")
        name = name if words[1] == "SMALL" else name.capitalize()
        return f"\\{name} " if name in known.SYMBOLS else letter
    plain = unicodedata.normalize("NFKC", letter)
    return plain if plain.isascii() and not set(plain) & set("\\{}$^_%#&") else letter


class _Painter:
    """One walk over the tokens; methods give back what is to be set."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.place = tokens, 0
        self.labels: list[str] = []
        self.style = ""  # the alphabet, where it makes signs of their own
        self.depth = 0

    # Tokens

    def peek(self) -> str:
        """The next token that is no space; empty at the end."""
        while self.place < len(self.tokens) and self.tokens[self.place].isspace():
            self.place += 1
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.place += 1
        return token

    def expect(self, token: str) -> None:
        if (found := self.take()) != token:
            raise NotSettable(f"{token} is missing before {found or 'the end'}")

    def ink(self, source: str, label: str) -> str:
        """A sign in the next colour."""
        return self.switch(self.new(label)) + source

    def new(self, label: str) -> int:
        if len(self.labels) >= MOST_TOKENS:
            raise NotSettable(f"it has more than {MOST_TOKENS} signs")
        self.labels.append(label)
        return len(self.labels) - 1

    @staticmethod
    def switch(number: int | None) -> str:
        return "" if number is None else f"\\C{{{number}}}"

    # Sequences

    def formula(self) -> str:
        source, rows = self.sequence(frozenset([""]), rows=True)
        return f"\\begin{{aligned}}{source}\\end{{aligned}}" if rows else source

    def sequence(self, ends: frozenset[str], rows: bool = False) -> tuple[str, bool]:
        """Up to one of the tokens, which is left there; and whether there were rows or columns."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise NotSettable("its groups are too deep")
        parts: list[str] = []
        found = False
        while (token := self.peek()) not in ends:
            if not token or token in ("}", r"\right", r"\end", r"\middle"):
                raise NotSettable(f"{token or 'the end'} comes where it cannot")
            if token in ("&", "\\\\", r"\cr", r"\newline"):
                if not rows:
                    raise NotSettable("there are rows outside of a table")
                found = True
                parts.append(self.row())
            elif token[1:] in known.INFIX and token[0] == "\\":
                if found:
                    raise NotSettable(f"{token} stands in a table without a group of its own")
                parts = [self.infix("".join(parts), ends)]
            else:
                parts.append(self.atom())
        self.depth -= 1
        return "".join(parts), found

    def row(self) -> str:
        if self.take() == "&":
            return "&"
        if self.peek() == "*":
            self.take()
        if self.peek() == "[" and _LENGTH.match("".join(self.tokens[self.place : self.place + 12])):
            self.brackets()
        return "\\\\"

    def infix(self, above: str, ends: frozenset[str]) -> str:
        name = self.take()[1:]
        if name == "choose":
            opening = self.new("(")
            below, _ = self.sequence(ends)
            return self.parens(opening, above, below)
        own = self.switch(self.new("frac")) if name == "over" else ""
        below, _ = self.sequence(ends)
        if name == "over":
            return f"{own}\\frac{{{above}{own}}}{{{below}}}"
        return f"\\genfrac{{}}{{}}{{0pt}}{{}}{{{above}}}{{{below}}}"

    def parens(self, opening: int, above: str, below: str) -> str:
        closing = self.ink(r"\right)", ")")
        inner = f"\\genfrac{{}}{{}}{{0pt}}{{}}{{{above}}}{{{below}}}"
        return f"{self.switch(opening)}\\left({inner}{closing}"

    # Atoms and their marks

    def atom(self) -> str:
        """A sign, a group or a command with what it holds, and its lower and upper marks."""
        before = len(self.labels)
        source = "{}" if self.peek() in ("^", "_", "'") else self.nucleus()
        own = before if len(self.labels) > before else None  # ink that may come after the marks
        marks: dict[str, str] = {}
        while (token := self.after_limits()) in ("^", "_", "'"):
            mark = "^" if token == "'" else token
            if mark in marks and not marks.get("'"):
                raise NotSettable("it has two marks in one place")
            marks["'"] = "'" if token == "'" else ""
            marks[mark] = marks.get(mark, "") + self.mark(token)
        shown = [f"{mark}{{{marks[mark]}{self.switch(own)}}}" for mark in ("_", "^") if mark in marks]
        return source + "".join(shown)

    def after_limits(self) -> str:
        while self.peek() in (r"\limits", r"\nolimits", r"\displaylimits"):
            self.take()
        return self.peek()

    def mark(self, token: str) -> str:
        self.take()
        return self.ink(r"\prime", "'") if token == "'" else self.argument()

    def argument(self) -> str:
        """A group's content, or one atom without marks."""
        token = self.peek()
        if token == "{":
            return self.group()
        if token in ("", "}", "&", "^", "_", "\\\\", r"\right", r"\end"):
            raise NotSettable(f"{token or 'the end'} comes where something is to be held")
        return self.nucleus()

    def group(self, rows: bool = False) -> str:
        self.expect("{")
        style = self.style
        source, _ = self.sequence(frozenset("}"), rows)
        self.style = style
        self.expect("}")
        return source

    def braces(self) -> str:
        """The raw text of a group that is not set."""
        self.expect("{")
        depth, start = 1, self.place
        while depth:
            if self.place >= len(self.tokens):
                raise NotSettable("a brace is not closed")
            depth += {"{": 1, "}": -1}.get(self.tokens[self.place], 0)
            self.place += 1
        return "".join(self.tokens[start : self.place - 1])

    def brackets(self) -> str:
        """The raw text in square brackets."""
        self.expect("[")
        start = self.place
        while self.place < len(self.tokens) and self.tokens[self.place] != "]":
            self.place += 1
        self.expect("]")
        return "".join(self.tokens[start : self.place - 1])

    def nucleus(self) -> str:
        token = self.peek()
        if token == "{":
            return f"{{{self.group()}}}"
        self.take()
        if token in _PLAIN:
            return self.ink(token, self.letter(token))
        if token in _SPACES or token == '"':
            return ""
        if token in _ESCAPED:
            return self.ink(token, token[1:])
        if token == r"\|":
            return self.ink(token, "Vert")
        if token[0] == "\\" and token[1:].isalpha() and token.isascii():
            return self.command(token[1:])
        if len(token) == 1 and not token.isascii() and unicodedata.category(token)[0] in "LNPS":
            return self.ink(r"\Q{}", token)
        raise NotSettable(f"{token!r} has no place in a formula")

    def letter(self, token: str) -> str:
        return f"{self.style} {token}" if self.style and token.isalnum() else token

    # Commands

    def command(self, name: str) -> str:
        if name in known.LAYOUT:
            return ""
        if name in known.SYMBOLS:
            return self.ink(f"\\{name} ", known.SAME.get(name, name))
        if name in known.HIDDEN:
            return self.hidden()
        for names, method in _METHODS:
            if name in names:
                return str(method(self, name))
        raise NotSettable(f"\\{name} is not a command for formulas")

    def hidden(self) -> str:
        if self.peek() == "*":
            self.take()
        if self.peek() == "[":
            self.brackets()
        self.braces()
        return ""

    def textcolor(self, name: str) -> str:
        self.hidden()
        return f"{{{self.argument()}}}"

    def function(self, name: str) -> str:
        star = "*" if name in known.LIMITS else ""
        inner = "".join(self.ink(letter, letter) for letter in name)
        return f"\\operatorname{star}{{{inner}}}"

    def operator(self, name: str) -> str:
        star = self.take() if self.peek() == "*" else ""
        return f"\\operatorname{star}{{{self.argument()}}}"

    def modulo(self, name: str) -> str:
        if name == "bmod":
            return f"\\mathbin{{{self.function('mod')}}}"
        opening = self.ink("(", "(") if name == "pmod" else ""
        word, inner = self.function("mod"), self.argument()
        return f"{{{opening}{word}{{{inner}}}{self.ink(')', ')') if opening else ''}}}"

    def dots(self, name: str) -> str:
        sign, label = _DOTS[name]
        return "\\mathinner{" + "".join(self.ink(f"\\{sign} ", label) for _ in range(3)) + "}"

    def negated(self, name: str) -> str:
        """`\\not` and the sign that it strikes are one sign."""
        token = self.braces().strip() if self.peek() == "{" else self.take()
        if token in ("=", r"\in"):
            return self.ink(r"\neq " if token == "=" else r"\notin ", "neq" if token == "=" else "notin")
        name = token.removeprefix("\\")
        if token not in _PLAIN and (token[:1] != "\\" or name not in known.SYMBOLS):
            raise NotSettable(f"{token or 'the end'} cannot be struck out")
        return self.ink(rf"\not{token} ", f"not {known.SAME.get(name, name)}")

    def accent(self, name: str) -> str:
        own = self.switch(self.new(known.ACCENTS[name]))
        return f"{own}\\{name}{{{self.argument()}{own}}}"

    def arrow(self, name: str) -> str:
        own = self.switch(self.new(known.ARROWS[name]))
        below = f"[{{{self.optional()}{own}}}]" if self.peek() == "[" else ""
        return f"{own}\\{name}{below}{{{self.argument()}{own}}}"

    def optional(self) -> str:
        """What stands in square brackets, set."""
        self.expect("[")
        source, _ = self.sequence(frozenset("]"))
        self.expect("]")
        return source

    def root(self, name: str) -> str:
        own = self.switch(self.new("sqrt"))
        index = f"[{{{self.optional()}{own}}}]" if self.peek() == "[" else ""
        return f"{own}\\sqrt{index}{{{self.argument()}}}"

    def fraction(self, name: str) -> str:
        own = self.switch(self.new("frac"))
        if self.peek() == "[":
            self.brackets()  # \cfrac's side
        above = self.argument()
        return f"{own}\\frac{{{above}{own}}}{{{self.argument()}}}"

    def binomial(self, name: str) -> str:
        opening = self.new("(")
        return self.parens(opening, self.argument(), self.argument())

    def stack(self, name: str) -> str:
        command = "underset" if name == "underset" else "overset"
        return f"\\{command}{{{self.argument()}}}{{{self.argument()}}}"

    def wrapped(self, name: str) -> str:
        if name == "substack":
            return f"\\substack{{{self.group(rows=True)}}}"
        return f"\\{name}{{{self.argument()}}}"

    def bare(self, name: str) -> str:
        if self.peek() == "[":
            self.brackets()
        return f"{{{self.argument()}}}"

    def styled(self, name: str) -> str:
        outer, command = self.style, known.STYLES[name]
        self.style = command if command in known.OWN_LETTERS else outer
        inner = self.argument()
        self.style = outer
        return f"\\{command}{{{inner}}}"

    def declared(self, name: str) -> str:
        """An alphabet up to the end of the group: TeX's old way."""
        command = known.DECLARED[name]
        self.style = command if command in known.OWN_LETTERS else self.style
        inner = []
        while self.peek() not in ("", "}", "&", "\\\\", r"\right", r"\end", r"\over", "]"):
            inner.append(self.atom())
        return f"\\{command}{{{''.join(inner)}}}"

    def text(self, name: str) -> str:
        """Words, letter by letter; formulas between dollars in them are formulas."""
        inner = _TOKEN.findall(self.braces() if self.peek() == "{" else self.take())
        parts: list[str] = []
        while inner:
            token = inner.pop(0)
            if token == "$" and "$" in inner:
                end = inner.index("$")
                parts.append(self.inner_formula(inner[:end]))
                del inner[: end + 1]
            elif token.isspace() or token in _SPACES:
                parts.append(" ")
            elif token in _IN_TEXT or token in _ESCAPED:
                parts.append(self.ink(token, self.letter(token.removeprefix("\\"))))
            elif token not in ("{", "}"):
                parts.append(f"${self.inner_formula([token])[1:-1]}$")
        return f"\\text{{{''.join(parts)}}}"

    def inner_formula(self, tokens: list[str]) -> str:
        outer, self.tokens, self.place = (self.tokens, self.place), tokens, 0
        source, _ = self.sequence(frozenset([""]))
        self.tokens, self.place = outer
        return f"${source}$"

    # Delimiters and tables

    def delimiter(self) -> str:
        token = self.take()
        token = {"\\lt": "<", "\\gt": ">"}.get(token, token)
        if token not in known.DELIMITERS:
            raise NotSettable(f"{token or 'the end'} is not a delimiter")
        return token

    def fence(self, command: str, token: str) -> str:
        """A delimiter that grows; the point is none."""
        if token == ".":
            return f"\\{command}."
        name = {r"\|": "Vert", r"\{": "{", r"\}": "}", "<": "langle", ">": "rangle"}.get(token)
        name = name or token.removeprefix("\\")
        return self.ink(f"\\{command}{token} ", known.SAME.get(name, name))

    def fenced(self, name: str) -> str:
        parts = [self.fence("left", self.delimiter())]
        while True:
            source, rows = self.sequence(frozenset([r"\right", r"\middle"]), rows=True)
            parts.append(f"\\begin{{matrix}}{source}\\end{{matrix}}" if rows else source)
            command = self.take()[1:]
            parts.append(self.fence(command, self.delimiter()))
            if command == "right":
                return "".join(parts)

    def sized(self, name: str) -> str:
        token = self.delimiter()
        return "" if token == "." else self.fence(name, token)

    def table(self, name: str) -> str:
        name = self.braces().strip()
        plain = name.removesuffix("*")
        if plain not in known.ENVIRONMENTS:
            raise NotSettable(f"{name} is not an environment for formulas")
        opening, command, closing = known.ENVIRONMENTS[plain]
        if self.peek() == "[" and command != "matrix":
            self.brackets()
        if plain in known.WITH_COLUMNS:
            self.braces()
        left = self.fence("left", opening or ".") if opening or closing else ""
        source, _ = self.sequence(frozenset([r"\end"]), rows=True)
        self.take()
        if self.braces().strip() != name:
            raise NotSettable(f"{name} does not end")
        right = self.fence("right", closing or ".") if opening or closing else ""
        return f"{left}\\begin{{{command}}}{source}\\end{{{command}}}{right}"


_METHODS = (
    (known.FUNCTIONS | known.LIMITS, _Painter.function),
    (known.ACCENTS, _Painter.accent),
    (known.STYLES, _Painter.styled),
    (known.DECLARED, _Painter.declared),
    (known.TEXTS, _Painter.text),
    (known.FRACTIONS, _Painter.fraction),
    (known.BINOMIALS, _Painter.binomial),
    (known.STACKS, _Painter.stack),
    (known.CLASSES, _Painter.wrapped),
    (known.BARE, _Painter.bare),
    (known.ARROWS, _Painter.arrow),
    (known.SIZES, _Painter.sized),
    (_DOTS, _Painter.dots),
    (("sqrt",), _Painter.root),
    (("left",), _Painter.fenced),
    (("begin",), _Painter.table),
    (("not",), _Painter.negated),
    (("operatorname",), _Painter.operator),
    (("bmod", "pmod", "mod"), _Painter.modulo),
    (("textcolor",), _Painter.textcolor),
)
