"""CDM: what looks the same is the same, what differs costs what it is, and strangers do no harm."""

import shutil

import numpy as np
import pytest

from foveate.evaluation import cdm, latex_symbols
from foveate.evaluation.latex_render import Renderer, find_renderer
from foveate.evaluation.latex_tokens import MOST_TOKENS, NotSettable, Painted, paint

needs_latex = pytest.mark.usefixtures("latex")

FORMULAS = (
    r"E=mc^2",
    r"x=\frac{-b\pm\sqrt{b^2-4ac}}{2a}",
    r"\int_{-\infty}^{\infty}e^{-x^2}dx=\sqrt{\pi}",
    r"\sum_{n=1}^{\infty}\frac{1}{n^2}=\frac{\pi^2}{6}",
    r"R_{\mu\nu}-\frac{1}{2}Rg_{\mu\nu}+\Lambda g_{\mu\nu}=\frac{8\pi G}{c^4}T_{\mu\nu}",
    r"\begin{aligned}a&=b+c\\d&=e\times f-g\end{aligned}",
    r"\hat{y}_i=\beta_0+\beta_1x_{i1}+\cdots+\beta_px_{ip}",
)
ALIKE = (
    (r"x^{2}", r"$$x^2$$"),
    (r"\frac12", r"\dfrac{1}{2}"),
    (r"{a \over b+c}", r"\frac{a}{b+c}"),
    (r"\left(a+b\right)^2", r"(a+b)^2"),
    (r"a\,+\quad b", r"a+b"),
    (r"\sum\limits_{i=1}^{n}a_i", r"\sum^n_{i = 1} a_{i}"),
    (r"\sin x \le \ldots", r"\mathrm{sin}x \leq ..."),
    (r"\begin{pmatrix}a&b\\c&d\end{pmatrix}", r"\left(\begin{array}{cc}a&b\\c&d\end{array}\right)"),
    (
        r"f=\begin{cases}1&\text{if $x>0$}\\0\end{cases}",
        r"f=\left\{\begin{array}{ll}1&\mathrm{if}\,x>0\\0\end{array}\right.",
    ),
    (r"x''\times\text{速度}", "x^{\\prime\\prime}×速度"),
    (r"a\ne b \tag{3}", r"a\not=b\label{one}"),
    (r"\mathbf{B}", "B"),
)


@pytest.fixture
def latex() -> None:
    if cdm.unavailable():
        pytest.skip("needs LaTeX and scipy")


def labels(latex: str) -> tuple[str, ...]:
    return paint(latex).labels


def test_tokens() -> None:
    assert labels(r"x^{2}+\frac12") == ("x", "2", "+", "frac", "1", "2")
    assert labels(r"\mathbb{R}\ne R") == ("mathbb R", "neq", "R")
    assert labels(r"\text{a $\alpha$ b}") == ("a", "alpha", "b")
    assert paint(r"\sum_i^n").source == r"\C{0}\sum _{\C{1}i\C{0}}^{\C{2}n\C{0}}"


@pytest.mark.parametrize("one, other", ALIKE)
def test_spellings_have_the_same_tokens(one: str, other: str) -> None:
    assert sorted(labels(one)) == sorted(labels(other))


@pytest.mark.parametrize(
    "latex",
    [
        *(r"\input{/etc/passwd}", r"\write18{ls}", r"\openout1=x", r"\read1 to\x", r"\catcode`\%=12 x"),
        *(r"\def\a{\a}\a", r"\csname input\endcsname x", r"\let\a=b", r"\loop x\repeat", r"\immediate x"),
        *(
            r"\newcommand{\a}{b}\a",
            r"\special{x}",
            r"\directlua{x}",
            r"\usepackage{x}",
            r"\C{0}",
            "^^5cinput x",
        ),
        *(r"\text{\input{x}}", r"\begin{filecontents}x\end{filecontents}", r"\hskip 9999pt x", "#1", "x\x00"),
        *(
            "",
            "{x",
            "x}",
            r"\left(x",
            r"x\right)",
            "x^a^b",
            "x^",
            r"\frac{a}",
            "a$b",
            r"\begin{matrix}a",
            "a#",
        ),
        *("{" * 100 + "x" + "}" * 100, "x" * (MOST_TOKENS + 1), r"\label{x}", r"\text{a $\write1{x}$}"),
        *(
            r"\end{document}",
            r"\begin{matrix}a\end{document}",
            r"\left\input x\right.",
            r"\text$",
            r"{a&b}",
            r"a&\over b",
        ),
    ],
)
def test_what_is_refused(latex: str) -> None:
    with pytest.raises(NotSettable):
        paint(latex)


def test_anything_is_painted_or_refused() -> None:
    """Random pieces never do anything else, and what is painted has known commands and closed braces."""
    rng = np.random.default_rng(0)
    pieces = [*"\\{}^_&$%#'[](x1é ", r"\frac", r"\left", r"\right", r"\text", r"\\", r"\begin{matrix}"]
    pieces += [r"\end{matrix}", r"\sqrt", r"\hat", r"\over", r"\rm", r"\not", r"\input"]
    painted = 0
    for _ in range(3000):
        latex = "".join(rng.choice(pieces, size=rng.integers(1, 9)))
        try:
            source = paint(latex).source
        except NotSettable:
            continue
        painted += 1
        assert source.isascii() and "input" not in source and "%" not in source.replace(r"\%", "")
        bare = source.replace(r"\{", "").replace(r"\}", "")
        assert bare.count("{") == bare.count("}")
    assert painted > 100


def test_places_that_fit() -> None:
    places = np.random.default_rng(0).uniform(0, 500, (12, 2))
    assert cdm.fitting(places, places + 70).all()
    assert cdm.fitting(places, places * 1.1 + 30).all()
    moved = places.copy()
    moved[3] += 100
    assert list(np.flatnonzero(~cdm.fitting(places, moved))) == [3]
    line = places.copy()
    line[8:, 1] += 300  # the rest on a line of its own
    assert cdm.fitting(places, line).all()
    scattered = np.random.default_rng(1).uniform(0, 500, (12, 2))
    assert cdm.fitting(places, scattered).sum() < 6
    assert (cdm.fitting(places, scattered, 5) == cdm.fitting(places, scattered, 5)).all()
    assert cdm.fitting(places[:0], places[:0]).size == 0


@needs_latex
def test_the_same_and_what_looks_the_same() -> None:
    same = cdm.score_formulas(FORMULAS, FORMULAS)
    assert all(score is not None and score.f1 == 1 and score.exact for score in same)
    alike = cdm.score_formulas([one for one, _ in ALIKE], [other for _, other in ALIKE])
    found = {pair: score.f1 for pair, score in zip(ALIKE, alike, strict=True) if score}
    assert len(found) == len(ALIKE) and set(found.values()) == {1.0}


@needs_latex
def test_a_wrong_sign_costs_its_share() -> None:
    truth = r"x=\frac{-b\pm\sqrt{b^2-4ac}}{2a}"
    reads = [truth.replace("4", "9"), truth.replace("4", ""), truth.replace(r"\pm", r"\Theta"), "x"]
    wrong, missing, wide, short = cdm.score_formulas([truth] * 4, reads)
    assert wrong and missing and wide and short and wrong.truth == 15
    assert wrong.f1 == wide.f1 == pytest.approx(14 / 15) and not wrong.exact
    assert missing.recall == pytest.approx(14 / 15) and missing.precision == 1
    assert short.recall == pytest.approx(1 / 15)


@needs_latex
def test_places_count() -> None:
    raised, turned = cdm.score_formulas(["x^2", "a-b"], ["x_2", "b-a"])
    assert raised and turned and raised.f1 == 1 / 2 and turned.f1 <= 2 / 3


@needs_latex
def test_unrelated_formulas() -> None:
    pairs = [(one, other) for one in FORMULAS for other in FORMULAS if one != other]
    scores = cdm.score_formulas([one for one, _ in pairs], [other for _, other in pairs])
    values = [score.f1 for score in scores if score]
    assert len(values) == len(pairs) and np.mean(values) < 0.1 and max(values) < 0.4


@needs_latex
def test_what_cannot_be_set() -> None:
    scores = cdm.score_formulas([r"\input{x}", "x", "x", "x"], ["x", r"\def\a{x}\a", "", "x"])
    assert scores[0] is None
    assert [score.f1 for score in scores[1:] if score] == [0, 0, 1]


@needs_latex
def test_a_broken_formula_harms_itself_alone() -> None:
    """Also one that swallows the document's end, which takes the whole batch with it at first."""
    formulas = [*map(paint, ("a", "b", "c^2")), Painted(r"\undefined", ("x",)), Painted(r"{\C{0}x", ("x",))]
    found = Renderer(find_renderer() or "").render([formulas[number] for number in (0, 3, 1, 4, 2)])
    assert [picture is not None for picture in found] == [True, False, True, False, True]


@needs_latex
def test_every_command_is_set_with_all_its_ink() -> None:
    sources = [rf"\{name} " for name in sorted(latex_symbols.SYMBOLS)]
    sources += [rf"\{name}{{x}}" for name in (*latex_symbols.ACCENTS, *latex_symbols.STYLES)]
    sources += [rf"\left{sign} x\right." for sign in sorted(latex_symbols.DELIMITERS)]
    pictures = Renderer(find_renderer() or "").render([paint(source) for source in sources])
    lacking = [s for s, p in zip(sources, pictures, strict=True) if p is None or None in p.boxes]
    assert lacking == []


def test_without_latex(monkeypatch: pytest.MonkeyPatch) -> None:
    find_renderer.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "LaTeX" in (cdm.unavailable() or "")
    find_renderer.cache_clear()


@needs_latex
def test_a_program_that_does_not_end() -> None:
    assert Renderer(find_renderer() or "", timeout=0.001).render([paint("x")]) == [None]
