"""Word's formulas (OMML, ECMA-376 part 1, section 22.1) to LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from foveate.data.word.package import Element, M, W

_DEEPEST = 60

_SYMBOLS = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\epsilon", "ζ": r"\zeta",
    "η": r"\eta", "θ": r"\theta", "ι": r"\iota", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu",
    "ν": r"\nu", "ξ": r"\xi", "π": r"\pi", "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau", "υ": r"\upsilon",
    "φ": r"\phi", "χ": r"\chi", "ψ": r"\psi", "ω": r"\omega",
    "ϵ": r"\epsilon", "ϕ": r"\phi", "ϑ": r"\vartheta", "ς": r"\varsigma",
    "Γ": r"\Gamma", "Δ": r"\Delta", "Θ": r"\Theta", "Λ": r"\Lambda", "Ξ": r"\Xi", "Π": r"\Pi",
    "Σ": r"\Sigma", "Υ": r"\Upsilon", "Φ": r"\Phi", "Ψ": r"\Psi", "Ω": r"\Omega",
    "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "≈": r"\approx", "≡": r"\equiv", "∼": r"\sim", "≅": r"\cong",
    "∝": r"\propto", "≪": r"\ll", "≫": r"\gg", "±": r"\pm", "∓": r"\mp", "×": r"\times", "÷": r"\div",
    "·": r"\cdot", "⋅": r"\cdot", "∗": "*", "∘": r"\circ", "−": "-", "⊕": r"\oplus", "⊗": r"\otimes",
    "∞": r"\infty", "∂": r"\partial", "∇": r"\nabla", "∈": r"\in", "∉": r"\notin", "⊂": r"\subset",
    "⊆": r"\subseteq", "∪": r"\cup", "∩": r"\cap", "∅": r"\emptyset", "∀": r"\forall", "∃": r"\exists",
    "¬": r"\neg", "∧": r"\wedge", "∨": r"\vee", "→": r"\to", "←": r"\leftarrow", "↔": r"\leftrightarrow",
    "⇒": r"\Rightarrow", "⇔": r"\Leftrightarrow", "↦": r"\mapsto", "…": r"\ldots", "⋯": r"\cdots",
    "⋮": r"\vdots", "⋱": r"\ddots", "∑": r"\sum", "∏": r"\prod", "∫": r"\int", "∬": r"\iint",
    "∭": r"\iiint", "∮": r"\oint", "⋃": r"\bigcup", "⋂": r"\bigcap", "√": r"\surd", "°": r"^{\circ}",
    "′": "'", "ℝ": r"\mathbb{R}", "ℕ": r"\mathbb{N}", "ℤ": r"\mathbb{Z}", "ℂ": r"\mathbb{C}",
    "ℚ": r"\mathbb{Q}", "ℓ": r"\ell", "ℏ": r"\hbar", "⟨": r"\langle", "⟩": r"\rangle",
    "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil", "⌉": r"\rceil", "‖": r"\|",
    "\\": r"\backslash", "{": r"\{", "}": r"\}", "%": r"\%", "#": r"\#", "&": r"\&", "$": r"\$", "_": r"\_",
}  # fmt: skip
_FUNCTIONS = frozenset({
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log",
    "ln", "exp", "lim", "limsup", "liminf", "max", "min", "sup", "inf", "det", "dim", "ker", "gcd", "deg",
    "arg", "hom", "Pr",
})  # fmt: skip
_ACCENTS = {
    "\u0302": "hat", "^": "hat", "\u0303": "tilde", "~": "tilde", "\u0304": "bar", "\u0305": "bar",
    "\u00af": "bar", "\u20d7": "vec", "\u0307": "dot", "\u0308": "ddot", "\u030c": "check",
    "\u0306": "breve", "\u0301": "acute", "\u0300": "grave", "\u20d6": "overleftarrow",
}  # fmt: skip
_GROUPS = {"⏟": "underbrace", "⏞": "overbrace", "→": "overrightarrow", "←": "overleftarrow"}


def latex(math: Element) -> str:
    """The LaTeX of an <m:oMath> or of anything inside one, without its brackets."""
    return _children(math, 0).strip()


def _children(element: Element | None, depth: int) -> str:
    if element is None or depth > _DEEPEST:
        return ""
    written = ""
    for child in element:
        written = _appended(written, _one(child, depth + 1))
    return written


def _appended(before: str, after: str) -> str:
    """Two pieces; a space where a command's name would run into a letter."""
    command = before[before.rfind("\\") :] if "\\" in before else ""
    runs_on = command[1:].isalpha() and after[:1].isalpha()
    return f"{before} {after}" if runs_on else before + after


def _one(element: Element, depth: int) -> str:
    if not isinstance(element.tag, str):
        return ""  # a comment
    if element.tag == f"{M}r":
        return _run(element)
    write = _STRUCTURES.get(element.tag.removeprefix(M)) if element.tag.startswith(M) else None
    if write is not None:
        return write(element, depth)
    if element.tag.endswith("Pr") or element.tag.startswith(W):
        return "".join(_run(run) for run in element.iter(f"{M}r")) if element.tag.startswith(W) else ""
    return _children(element, depth)


def _run(run: Element) -> str:
    text = "".join(part.text or "" for part in run.findall(f"{M}t"))
    style = run.find(f"{M}rPr/{M}sty")
    upright = run.find(f"{M}rPr/{M}nor") is not None or (style is not None and style.get(f"{M}val") == "p")
    name = text.strip()
    if name in _FUNCTIONS:
        return f"\\{name}"
    if upright and len(name) > 1 and name.replace(" ", "").isalpha() and name.isascii():
        return f"\\text{{{text}}}" if " " in text else f"\\mathrm{{{text}}}"
    written = ""
    for character in text:
        written = _appended(written, _SYMBOLS.get(character, character))
    return written


def _part(element: Element, name: str, depth: int) -> str:
    return _children(element.find(f"{M}{name}"), depth).strip()


def _property(element: Element, name: str, default: str) -> str:
    """A property such as the character of an accent; Word leaves out what is usual."""
    found = element.find(f"{M}{_short(element)}Pr/{M}{name}")
    if found is None:
        return default
    given = found.get(f"{M}val")
    return "" if given is None else given


def _short(element: Element) -> str:
    return str(element.tag).removeprefix(M)


def _on(element: Element, name: str) -> bool:
    found = element.find(f"{M}{_short(element)}Pr/{M}{name}")
    return found is not None and found.get(f"{M}val", "1") in ("1", "on", "true")


def _base(text: str) -> str:
    """What a script is put on: in braces unless it is one sign."""
    return text if len(text) == 1 or (text.startswith("\\") and text[1:].isalpha()) else f"{{{text}}}"


def _fraction(element: Element, depth: int) -> str:
    over, under = _part(element, "num", depth), _part(element, "den", depth)
    kind = _property(element, "type", "bar")
    if kind == "lin":
        return f"{over}/{under}"
    return f"\\binom{{{over}}}{{{under}}}" if kind == "noBar" else f"\\frac{{{over}}}{{{under}}}"


def _scripts(element: Element, depth: int) -> str:
    base, name = _base(_part(element, "e", depth)), _short(element)
    low = f"_{{{_part(element, 'sub', depth)}}}" if name in ("sSub", "sSubSup") else ""
    high = f"^{{{_part(element, 'sup', depth)}}}" if name in ("sSup", "sSubSup") else ""
    return f"{base}{low}{high}"


def _scripts_before(element: Element, depth: int) -> str:
    low, high = _part(element, "sub", depth), _part(element, "sup", depth)
    return f"{{}}_{{{low}}}^{{{high}}}{_part(element, 'e', depth)}"


def _root(element: Element, depth: int) -> str:
    degree = _part(element, "deg", depth) if not _on(element, "degHide") else ""
    return f"\\sqrt{f'[{degree}]' if degree else ''}{{{_part(element, 'e', depth)}}}"


def _large(element: Element, depth: int) -> str:
    sign = _property(element, "chr", "∫")
    written = _SYMBOLS.get(sign, sign)
    low = "" if _on(element, "subHide") else _part(element, "sub", depth)
    high = "" if _on(element, "supHide") else _part(element, "sup", depth)
    written += (f"_{{{low}}}" if low else "") + (f"^{{{high}}}" if high else "")
    return _appended(written + (" " if not (low or high) else ""), _part(element, "e", depth))


def _delimiters(element: Element, depth: int) -> str:
    opening, closing = _property(element, "begChr", "("), _property(element, "endChr", ")")
    between = _property(element, "sepChr", "|")
    inside = [_children(part, depth).strip() for part in element.findall(f"{M}e")]
    pair = _SYMBOLS.get(opening, opening) or ".", _SYMBOLS.get(closing, closing) or "."
    joined = (_SYMBOLS.get(between, between)).join(inside)
    tall = any(mark in joined for mark in ("\\frac", "\\sum", "\\int", "\\begin", "\\prod", "\\binom"))
    if tall or "." in pair:
        return f"\\left{pair[0]}{_lead(pair[0], joined)}\\right{pair[1]}"
    return f"{pair[0]}{_lead(pair[0], joined)}{pair[1]}"


def _lead(command: str, text: str) -> str:
    return f" {text}" if command[-1:].isalpha() and text[:1].isalpha() else text


def _matrix(element: Element, depth: int) -> str:
    rows = [
        " & ".join(_children(cell, depth).strip() for cell in row.findall(f"{M}e"))
        for row in element.findall(f"{M}mr")
    ]
    return _environment("matrix", rows)


def _lines(element: Element, depth: int) -> str:
    rows = [_children(row, depth).strip() for row in element.findall(f"{M}e")]
    return _environment("aligned", rows)


def _environment(name: str, rows: Sequence[str]) -> str:
    return f"\\begin{{{name}}}" + r" \\ ".join(rows) + f"\\end{{{name}}}"


def _function(element: Element, depth: int) -> str:
    name, inside = _part(element, "fName", depth), _part(element, "e", depth)
    return _appended(name, inside) if name[-1:].isalpha() else f"{name}{inside}"


def _accent(element: Element, depth: int) -> str:
    sign = _property(element, "chr", "\u0302")
    return f"\\{_ACCENTS.get(sign, 'hat')}{{{_part(element, 'e', depth)}}}"


def _bar(element: Element, depth: int) -> str:
    name = "overline" if _property(element, "pos", "bot") == "top" else "underline"
    return f"\\{name}{{{_part(element, 'e', depth)}}}"


def _group(element: Element, depth: int) -> str:
    sign = _property(element, "chr", "⏟")
    return f"\\{_GROUPS.get(sign, 'underbrace')}{{{_part(element, 'e', depth)}}}"


def _limit(element: Element, depth: int) -> str:
    sign = "_" if _short(element) == "limLow" else "^"
    return f"{_part(element, 'e', depth)}{sign}{{{_part(element, 'lim', depth)}}}"


def _boxed(element: Element, depth: int) -> str:
    return f"\\boxed{{{_part(element, 'e', depth)}}}"


_STRUCTURES: dict[str, Callable[[Element, int], str]] = {
    "f": _fraction, "sSup": _scripts, "sSub": _scripts, "sSubSup": _scripts, "sPre": _scripts_before,
    "rad": _root, "nary": _large, "d": _delimiters, "m": _matrix, "eqArr": _lines, "func": _function,
    "acc": _accent, "bar": _bar, "groupChr": _group, "limLow": _limit, "limUpp": _limit, "borderBox": _boxed,
}  # fmt: skip
