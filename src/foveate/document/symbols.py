r"""Small formulas as people write them without LaTeX: 10\%, ^{51}, \rightarrow, \alpha.

The model sets footnote marks, percentages and bullets as formulas; plain text shows what the page shows.
"""

from __future__ import annotations

import re

_PAIRS = """
    alpha α beta β gamma γ delta δ epsilon ε zeta ζ eta η theta θ iota ι kappa κ lambda λ mu μ nu ν
    xi ξ pi π rho ρ sigma σ tau τ upsilon υ phi φ chi χ psi ψ omega ω
    Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Phi Φ Psi Ψ Omega Ω
    rightarrow → to → leftarrow ← Rightarrow ⇒ leftrightarrow ↔ uparrow ↑ downarrow ↓ cdot · bullet
    • times × pm ± leq ≤ le ≤ geq ≥ ge ≥ neq ≠ ne ≠ approx ≈ sim ∼ equiv ≡ infty ∞ circ ∘ degree °
    dagger † ddagger ‡ ldots … dots … cdots … checkmark ✓ square □ star ⋆ in ∈ sum ∑ prod ∏ int ∫
    partial ∂ nabla ∇ forall ∀ exists ∃ cup ∪ cap ∩ subset ⊂ wedge ∧ vee ∨ coloneqq := eqqcolon =:
""".split()  # noqa: SIM905
_COMMANDS = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))
_RAISED = str.maketrans("0123456789+-()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ")
_LOWERED = str.maketrans("0123456789+-()", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎")

_COMMAND = re.compile(r"\\([A-Za-z]{2,20})(?![A-Za-z])")
_SIGN = re.compile(r"\\([%&$#_ ,;])")
_DEGREES = re.compile(r"\^(?:\{ ?\\circ ?\}|\\circ(?![A-Za-z]))")
_SCRIPT = re.compile(r"([\^_])(?:\{ ?([0-9+()n-]{1,9}) ?\}|([0-9]))")
_LATEX = re.compile(r"[\\^_{}]")


def readable(formula: str) -> str:
    """The formula in plain characters when these can say all of it, and unchanged when they cannot."""
    text = _DEGREES.sub("°", formula)
    text = _COMMAND.sub(lambda name: _COMMANDS.get(name.group(1), name.group()), text)
    text = _SIGN.sub(lambda sign: " " if sign.group(1) in " ,;" else sign.group(1), text)
    text = _SCRIPT.sub(_script, text)
    return formula if _LATEX.search(text) else text


def _script(script: re.Match[str]) -> str:
    table = _RAISED if script.group(1) == "^" else _LOWERED
    moved = (script.group(2) or script.group(3)).translate(table)
    return moved if not re.search(r"[0-9n+()-]", moved.replace("ⁿ", "")) else script.group()
