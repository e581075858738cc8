r"""LaTeX formulas out of Markdown, and one spelling for formulas that look alike.

Formulas are compared by their tokens after this: comments of layout go (`\left`, `\,`, `\displaystyle`,
`&`, `\\`, labels), spellings of one sign become one (`\le` and `\leq`, `\dfrac` and `\frac`, `{x}` and `x`,
`\boldsymbol` and `\mathbf`), upright letters lose their wrapper, lower marks come before upper ones. What
looks different stays different; a renderer is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_FORMULA = re.compile(r"\\\[(.+?)\\\]|\\\((.+?)\\\)|\$\$(.+?)\$\$|(?<!\\)\$([^$]+?)(?<!\\)\$", re.DOTALL)
_TOKEN = re.compile(r"\\(?:[a-zA-Z]+\*?|.)|[^\s]", re.DOTALL)
_ENVIRONMENT = re.compile(
    r"\\(?:begin|end)\s*\{(?:equation|align|aligned|gather|gathered|split|multline)\*?\}"
)
_LABEL = re.compile(r"\\(?:label|tag\*?)\s*\{[^{}]*\}")
_UPRIGHT = re.compile(r"\\(?:mathrm|text|textrm|textnormal|mathit|operatorname\*?|mbox|rm)(?![a-zA-Z])")
_LAYOUT = {
    *(r"\left", r"\right", r"\middle", r"\big", r"\Big", r"\bigg", r"\Bigg", r"\bigl", r"\bigr"),
    *(r"\Bigl", r"\Bigr", r"\biggl", r"\biggr", r"\Biggl", r"\Biggr", r"\displaystyle", r"\textstyle"),
    *(r"\scriptstyle", r"\limits", r"\nolimits", r"\nonumber", r"\notag", r"\quad", r"\qquad", r"\hfill"),
    *(r"\,", r"\;", r"\:", r"\!", r"\>", "\\ ", r"\\", "&", "~"),
}
_SAME = {
    r"\le": r"\leq",
    r"\ge": r"\geq",
    r"\ne": r"\neq",
    r"\to": r"\rightarrow",
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\cfrac": r"\frac",
    r"\dbinom": r"\binom",
    r"\tbinom": r"\binom",
    r"\boldsymbol": r"\mathbf",
    r"\bm": r"\mathbf",
    r"\bf": r"\mathbf",
    r"\ast": "*",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\vert": "|",
    r"\mid": "|",
    r"\lvert": "|",
    r"\rvert": "|",
    r"\|": r"\Vert",
    r"\lVert": r"\Vert",
    r"\rVert": r"\Vert",
    r"\dots": r"\ldots",
    r"\varnothing": r"\emptyset",
    r"\land": r"\wedge",
    r"\lor": r"\vee",
    r"\lnot": r"\neg",
    r"\colon": ":",
    "−": "-",
    "′": "'",
}
_WITH_ARGUMENTS = {r"\frac": 2, r"\binom": 2, r"\sqrt": 1, "^": 1, "_": 1}

Tokens = tuple[str, ...]


def find_formulas(markdown: str) -> list[str]:
    r"""The LaTeX between `$`, `$$`, `\(` and `\[`, in order."""
    return [next(filter(None, match.groups()), "").strip() for match in _FORMULA.finditer(markdown)]


def without_formulas(markdown: str) -> str:
    """The text with a space in the place of each formula."""
    return _FORMULA.sub(" ", markdown)


def normalise(latex: str) -> Tokens:
    """The tokens of a formula in one spelling; see the module."""
    latex = _LABEL.sub(" ", _ENVIRONMENT.sub(" ", latex.strip().strip("$")))
    tokens = [_SAME.get(token, token) for token in _TOKEN.findall(_UPRIGHT.sub(" ", latex))]
    tokens = [token for token in tokens if token not in _LAYOUT]
    while tokens and tokens[-1] in (".", ",", ";"):
        tokens.pop()
    return tuple(_spelled(_tree(tokens)))


def contains(formula: Tokens, part: Tokens) -> bool:
    """Whether the part's tokens stand in the formula, one after the other."""
    length = len(part)
    return any(formula[start : start + length] == part for start in range(len(formula) - length + 1))


_Tree = list["str | _Tree"]  # a group in braces is a list of its own


def _tree(tokens: list[str]) -> _Tree:
    """Tokens with their groups; braces that do not match are dropped."""
    root: _Tree = []
    stack = [root]
    for token in tokens:
        if token == "{" and len(stack) < 100:
            group: _Tree = []
            stack[-1].append(group)
            stack.append(group)
        elif token == "}":
            if len(stack) > 1:
                stack.pop()
        elif token != "{":
            stack[-1].append(token)
    return root


def _spelled(tree: _Tree) -> Iterator[str]:
    """The tree as tokens: braces around arguments only, lower marks before upper ones."""
    items = _merged_scripts(tree)
    pending = 0  # arguments that the last command still takes
    for item in items:
        if isinstance(item, list):
            inner = list(_spelled(item))
            yield from ["{", *inner, "}"] if pending else inner
            pending = max(0, pending - 1)
        else:
            taken = pending
            yield from ["{", item, "}"] if taken and item not in _WITH_ARGUMENTS else [item]
            pending = _WITH_ARGUMENTS.get(item, max(0, taken - 1))


def _merged_scripts(tree: _Tree) -> _Tree:
    r"""`x^a_b` as `x_b^a`, and `x'` as `x^{\prime}`."""
    found: _Tree = []
    items = list(tree)
    index = 0
    while index < len(items):
        scripts: dict[str, _Tree] = {}
        while index < len(items) and items[index] in ("^", "_", "'"):
            mark = items[index]
            if mark == "'":
                scripts.setdefault("^", []).append(r"\prime")
                index += 1
                continue
            argument = items[index + 1 : index + 2]
            inner = argument[0] if argument and isinstance(argument[0], list) else argument
            scripts.setdefault(str(mark), []).extend(inner)
            index += 2
        for mark in ("_", "^"):
            if mark in scripts:
                found += [mark, scripts[mark]]
        if not scripts:
            found.append(items[index])
            index += 1
    return found
