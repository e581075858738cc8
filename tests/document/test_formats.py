"""Documents as Markdown and as text: what a reader finds in the file."""

import random

import pytest

from foveate.document import Block, Box, Document, Page
from foveate.errors import OptionError

SPANS = (
    '<table><tr><th rowspan="2">Name</th><th colspan="2">Size</th></tr><tr><th>low</th><th>high</th></tr>'
    "<tr><td>a</td><td>1</td><td>2</td></tr></table>"
)


def page(*blocks: Block, number: int = 1, **fields: object) -> Page:
    return Page(number, 1000, 1000, tuple(blocks), **fields)  # type: ignore[arg-type]


def markdown(text: str, kind: str = "text") -> str:
    return page(Block(kind, text)).markdown()


def text(words: str, kind: str = "text") -> str:
    return page(Block(kind, words)).text()


def test_blocks_keep_their_order_with_an_empty_line_between():
    read = page(Block("title", "# One"), Block("text", "Two."), Block("sub_title", "## Three"))
    assert read.markdown() == "# One\n\nTwo.\n\n## Three"
    assert read.text() == "One\n\nTwo.\n\nThree"


def test_pages_are_marked_when_there_are_several():
    document = Document("x", (page(Block("text", "a"), number=3), page(Block("text", "b"), number=7)))
    assert document.markdown() == "<!-- page 3 -->\n\na\n\n<!-- page 7 -->\n\nb"
    assert document.markdown(page_mark="") == "a\n\nb"
    assert document.markdown(page_mark="--- {number} {x} ---").startswith("--- 3 {x} ---\n\na")
    assert Document("x", document.pages[:1]).markdown() == "a"
    assert document.text() == "a\n\f\nb"
    assert document.text(page_break="=") == "a\n=\nb"


def test_a_page_that_could_not_be_read_says_so_and_closes_its_comment():
    broken = page(error="bad --> <!-- data ---", stop="error")
    assert broken.markdown().startswith("<!-- page 1 could not be read: bad")
    assert broken.markdown().count("-->") == 1 and "--" not in broken.markdown()[4:-3]
    assert broken.text() == ""


def test_running_headers_are_left_out_unless_asked_for():
    read = page(
        Block("header", "ACME"),
        Block("text", "Body."),
        Block("page_number", "8"),
        Block("page_footnote", "1 n"),
    )
    assert read.markdown() == "Body.\n\n1 n" and read.text() == "Body.\n\n1 n"
    assert read.markdown(furniture=True) == "ACME\n\nBody.\n\n8\n\n1 n" == read.text(furniture=True)


def test_titles_get_their_marks_only_where_the_model_left_them_out():
    assert markdown("Multi\nline title", "title") == "# Multi line title"
    assert markdown("3 Results", "sub_title") == "## 3 Results"
    assert markdown("### 5.1 Deep", "sub_title") == "### 5.1 Deep"
    assert text("Multi\nline title", "title") == "Multi line title"


def test_formulas_get_dollars():
    assert markdown(r"a \(2x\) speed up") == "a $2x$ speed up"
    assert markdown(r"so \[ E = mc^2 \] holds") == "so $$E = mc^2$$ holds"
    assert markdown("\\[\na \\\\[2pt]\nb\n\\]", "equation") == "$$\na \\\\[2pt]\nb\n$$"
    assert markdown(r"x^2 + 1", "equation") == "$$x^2 + 1$$"
    assert markdown(r"\(a \)\( b\)") == "$a$$b$"


@pytest.mark.parametrize(
    "words",
    [
        r"code `\(x\)` stays",
        "```\n\\(x\\)\n\n# no title\n```",
        r"open \( only",
        r"only \) closed",
        "\\(one\n\ntwo\\)",
        "costs $5 or $6",
        "already $n = 171$ and $$y$$",
        r"back\\(slash\\)",
    ],
)
def test_what_is_no_bracketed_formula_stays_as_it_is(words):
    assert markdown(words) == words


def test_prices_next_to_formulas_are_escaped():
    assert markdown(r"$5 for \(x\) and \$6") == r"\$5 for $x$ and \$6"


def test_a_formula_never_ends_in_an_escaped_dollar():
    assert markdown(r"\(x\ \) y") == "$x$ y"


def test_plain_tables_become_pipes_and_spanning_ones_stay_html():
    plain = "<table><tr><td>a</td><td>b | c</td></tr><tr><td>\\(x\\)</td><td></td></tr></table>"
    assert markdown(plain, "table") == "| a | b \\| c |\n| --- | --- |\n| $x$ |  |"
    assert markdown(SPANS, "table") == SPANS
    assert (
        page(Block("table", plain))
        .markdown(tables="html")
        .startswith("<table><tr><td>a</td><td>b | c</td></tr>")
    )
    assert page(Block("table", SPANS)).markdown(tables="markdown") == (
        "| Name | Size |  |\n| --- | --- | --- |\n|  | low | high |\n| a | 1 | 2 |"
    )
    with pytest.raises(OptionError, match="auto, markdown, html"):
        page().markdown(tables="pipes")


def test_text_around_a_table_stays_around_it():
    assert (
        markdown("before\n<table><tr><td>a</td></tr></table>\nafter") == "before\n\n| a |\n| --- |\n\nafter"
    )
    assert text("before\n<table><tr><td>a</td></tr></table>\nafter") == "before\n\na\n\nafter"


def test_pictures_are_linked_with_their_caption():
    image = Block("image", "", (Box(0, 0, 9, 9),), image="images/page 1-0.jpg")
    caption = Block("image_caption", "<center>Figure 1: A [big] *cat* </center>")
    assert page(image, caption).markdown() == (
        "![Figure 1: A \\[big\\] cat](images/page%201-0.jpg)\n\nFigure 1: A [big] *cat*"
    )
    assert page(image).markdown() == "![](images/page%201-0.jpg)"
    assert page(Block("image", "", image.boxes), caption).markdown() == "Figure 1: A [big] *cat*"
    assert page(image, caption).text() == "Figure 1: A [big] cat"


def test_text_has_no_markup_left():
    assert text("**Bold** and *italic*, ***both***, __under__ `code` x<sup>2</sup><br>H<sub>2</sub>O") == (
        "Bold and italic, both, under code x2\nH2O"
    )
    assert text("### Heading ###\nbody") == "Heading\n\nbody"
    assert text("- one\n- **two**\n  1. three") == "- one\n- two\n  1. three"
    assert text("a &amp; b &lt;c&gt; AT&T &copy=1") == "a & b <c> AT&T &copy=1"
    assert text("```python\nx = `1` * *y\n```") == "x = `1` * *y"


@pytest.mark.parametrize(
    "words",
    [
        "2 * 3 * 4",
        "5*3*2",
        "snake_case_name",
        "p* < 0.05",
        "a ** b",
        "List<String> x",
        "* * *",
        "f(**kwargs)",
        "2**3**4",
        "US$ 5 to US$ 6",
        "$1,000.00, and $2",
        "C:\\dir",
        "a < b > c",
        "____",
    ],
)
def test_text_keeps_signs_that_are_no_markup(words):
    assert text(words) == words


def test_chinese_emphasis_needs_no_spaces():
    assert text("这是**粗体**字") == "这是粗体字"


def test_tables_in_text_are_lines_of_tabs_with_each_cell_at_its_column():
    assert text(SPANS, "table") == "Name\tSize\t\n\tlow\thigh\na\t1\t2"
    assert text("| a | b |\n| --- | --- |\n| 1 | x \\| y |") == "a\tb\n1\tx | y"


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        (r"\(^{51}\)", "⁵¹"),
        (r"\(10\%\)", "10%"),
        (r"\(\rightarrow\)", "→"),
        (r"\(\alpha \leq 5\)", "α ≤ 5"),
        (r"\(90^\circ\)", "90°"),
        (r"\(x_{1}^{2}\)", "x₁²"),
        (r"\[\frac{a}{b}\]", r"\frac{a}{b}"),
        ("$n = 171$", "n = 171"),
        (r"\(a_i\)", "a_i"),
        (r"\(\text{cm}\)", r"\text{cm}"),
        (r"\(\)", r"\(\)"),
    ],
)
def test_small_formulas_are_plain_characters_and_others_bare_latex(formula, shown):
    assert text(f"see {formula} here") == f"see {shown} here"


def test_plain_paragraphs_are_untouched():
    words = "Sec. 10.\n   (a) Submit\n   (b) Commence, see §2."
    assert markdown(words) == words


def test_anything_is_written_without_an_error():
    rng = random.Random(7)
    parts = [
        "<table>",
        "</table>",
        "<tr>",
        "<td>",
        "</td>",
        '<td rowspan="3">',
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "$",
        "$$",
        "`",
        "```",
        "\n",
        "\n\n",
        "# ",
        "- ",
        "1. ",
        "|",
        "| --- |",
        "*",
        "**",
        "_",
        "<b>",
        "</b>",
        "<script>",
        "a",
        "  ",
        "&lt;",
        "\\",
        "<center>",
        "é",
        "\x00",
        "\ud800",
    ]
    for _ in range(1500):
        blocks = [
            Block(
                rng.choice(["text", "title", "table", "equation", "code", "image"]),
                "".join(rng.choices(parts, k=rng.randrange(25))),
            )
            for _ in range(3)
        ]
        document = Document("x", (page(*blocks),))
        document.markdown(), document.text(), document.html()
        for tables in ("markdown", "html"):
            document.markdown(tables=tables)
