"""Documents as HTML: whatever the model wrote, the page is valid and does nothing."""

import random
from html.parser import HTMLParser

import pytest

from foveate.document import Block, Box, Document, Page

ALLOWED = frozenset(
    {"html", "head", "meta", "title", "style", "body", "section", "div", "p", "pre", "code", "img", "br"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "table", "tr", "td", "th"}
    | {"strong", "em", "u", "s", "small", "sup", "sub"}
)
VOID = {"meta", "img", "br"}
ATTRIBUTES = {
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "dir",
    "src",
    "alt",
    "rowspan",
    "colspan",
    "start",
}


class Checker(HTMLParser):
    """Reads HTML, insists that it nests and holds only what foveate writes, and keeps what it saw."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names))
        assert all(name in ATTRIBUTES or name.startswith("data-") for name in names)
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError("no comments are written")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def document(*blocks: Block, source: str = "scan.png", **fields: object) -> Document:
    return Document(source, (Page(1, 800, 600, tuple(blocks), **fields),))  # type: ignore[arg-type]


def body(text: str, kind: str = "text") -> str:
    html = document(Block(kind, text)).html()
    Checker(html)
    return html.split(f'data-kind="{kind}">', 1)[1].rsplit("</div>", 1)[0]


def test_a_document_is_complete_html():
    html = document(Block("text", "Hi"), source='<x> & "y"').html()
    assert html.startswith("<!DOCTYPE html>\n<html>\n<head>\n<meta charset") and html.endswith(
        "</body>\n</html>\n"
    )
    assert "<title>&lt;x&gt; &amp; &quot;y&quot;</title>" in html
    Checker(html)


def test_blocks_carry_kind_boxes_in_pixels_and_confidence():
    block = Block("table_caption", "T", (Box.from_grid((0, 999, 999, 0), 800, 600), Box(1, 2, 3.25, 4)), 0.5)
    attributes = Checker(document(block).html()).named("div")[0]
    assert attributes["data-box"] == "0.0 0.0 800.0 600.0; 1.0 2.0 3.2 4.0"
    assert attributes["data-kind"] == "table_caption"
    assert attributes["data-confidence"] == "0.5000"
    section = Checker(document(block).html()).named("section")[0]
    assert (section["data-width"], section["data-height"], section["data-page"]) == ("800", "600", "1")


def test_the_forms_of_markdown():
    assert body("# A *b*\ntext **c**  \nnext `d<`") == (
        "<h1>A <em>b</em></h1><p>text <strong>c</strong><br>next <code>d&lt;</code></p>"
    )
    assert body("7 Title", "sub_title") == "<h2>7 Title</h2>"
    assert body("```\n<b>\n```") == "<pre><code>&lt;b&gt;</code></pre>"
    assert body(r"a \(x<y\) b") == '<p>a <code class="math">x&lt;y</code> b</p>'
    assert body("\\[\n- x\n\\]") == '<p><code class="math display">- x</code></p>'
    assert body("x^2", "equation") == '<p><code class="math display">x^2</code></p>'


def test_lists_nest_by_indentation():
    assert body("3. one\n4. two\n   - in\n   - side\n5. three\n- other") == (
        '<ol start="3"><li>one</li><li>two<ul><li>in</li><li>side</li></ul></li><li>three</li></ol>'
        "<ul><li>other</li></ul>"
    )


def test_tables_keep_spans_and_lose_everything_else():
    html = body(
        '<table class="x" onclick="e()"><thead><tr><td rowspan="2" style="a">A</td><th colspan=3 onload=x>B'
        "</th></tr></thead><tr><td>1<br>2</td><td><b>&lt;c&gt; & d</b></td></tr></table>",
        "table",
    )
    assert html == (
        '<table><tr><th rowspan="2">A</th><th colspan="3">B</th></tr>'
        "<tr><td>1<br>2</td><td><strong>&lt;c&gt; &amp; d</strong></td></tr></table>"
    )


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<table><tr><td><script>alert(1)</script></td></tr></table>",
        '<img src=x onerror="alert(1)">',
        "<b onmouseover=alert(1)>x</b>",
        '<td colspan="2" onclick="alert(1)">',
        '<table><tr><td rowspan="2"onclick=alert(1)>x</table>',
        "<svg/onload=alert(1)>",
        "<iframe src='javascript:alert(1)'>",
        "</div></section></body><script>alert(1)</script>",
        "[x](javascript:alert(1)) ![y](javascript:alert(1))",
        "<style>*{display:none}</style>",
        "<!--><script>alert(1)</script>-->",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "`</code><script>`",
        "```\n</pre><script>\n```",
        "\\(</code><script>\\)",
        "<a href='x'>y</a><form action=x><input autofocus onfocus=alert(1)>",
        "<sc<script>ript>",
        "\x00<\x00script>",
    ],
)
@pytest.mark.parametrize("kind", ["text", "title", "table", 'x" onclick="alert(1)'])
def test_nothing_that_acts_gets_out(attack, kind):
    block = Block(kind, attack, image='javascript:alert(1)"onerror="x')
    seen = Checker(document(block, error=attack, source=attack).html())
    assert all(":" not in (attributes["src"] or "") for attributes in seen.named("img"))
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)


def test_unknown_tags_are_shown_as_the_words_they_may_be():
    assert body("List<String> <div>x</div> <marquee>") == "<p>List&lt;String&gt; x<br> &lt;marquee&gt;</p>"


def test_crossing_and_unclosed_elements_nest():
    assert body("<b>a<b>b</b>c") == "<p><strong>ab</strong>c</p>"
    assert body("<b>a *b</b> c* <i>d") == "<p><strong>a <em>b</em></strong> c <em>d</em></p>"


def test_pictures_are_linked_or_put_inside():
    image = Block("image", "", (Box(0, 0, 9, 9),), image="images/page-0001-0.jpg")
    caption = Block("image_caption", '<center>A "cat"</center>')
    linked = Checker(document(image, caption).html()).named("img")
    assert linked == [{"src": "images/page-0001-0.jpg", "alt": 'A "cat"'}]
    inside = document(image).html(images={"images/page-0001-0.jpg": b"\xff\xd8"})
    assert Checker(inside).named("img")[0]["src"] == "data:image/jpeg;base64,/9g="
    missing = Checker(document(Block("image", "", image.boxes), caption).html())
    assert missing.named("img") == [] and "image" in missing.words


def test_furniture_is_shown_and_errors_are_told():
    seen = Checker(document(Block("page_number", "8"), error="no <ink>").html())
    assert "8" in seen.words and "This page could not be read: no <ink>" in seen.words


def test_characters_that_html_has_no_place_for_are_left_out():
    assert body("a\x00b\x0bc\ud800d\ufffee") == "<p>abc\ufffdde</p>"


def test_any_markup_gives_html_that_nests():
    rng = random.Random(3)
    parts = [
        "<table>",
        "</table>",
        "<tr>",
        "</tr>",
        "<td>",
        "</td>",
        "<th rowspan=4>",
        "<b>",
        "</b>",
        "<sup>",
        "</sup>",
    ]
    parts += [
        "<br/>",
        "*",
        "**",
        "***",
        "_",
        "`",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "$",
        "\n",
        "\n\n",
        "- ",
        "  - ",
        "1. ",
    ]
    parts += [
        "# ",
        "| a |\n| - |\n",
        "```\n",
        "<script>",
        "</p>",
        "<p>",
        "x",
        " ",
        "&amp;",
        "<",
        ">",
        '"',
        "<!--",
        "-->",
    ]
    for _ in range(1500):
        text = "".join(rng.choices(parts, k=rng.randrange(40)))
        Checker(document(Block(rng.choice(["text", "table", "list"]), text)).html())
