"""Text and Markdown as blocks whose characters know their places."""

from foveate.pages.render.content import (
    BOLD,
    CODE,
    ITALIC,
    from_source,
    inline,
    markdown_blocks,
    plain_blocks,
)

MARKDOWN = """# A *fine* title #

Two lines
of **bold `code`** and \\*stars\\*
- one
- two
  goes on
  3. nested

| a | b |
|---|--:|
| 1 | 2 \\| 3 |

```
x  = 1
```
"""


def test_plain_lines_are_paragraphs_and_empty_ones_part_blocks() -> None:
    blocks = plain_blocks("one\r\ntwo  \n\n\n  three\f")
    assert [[p.content.text for p in block.paragraphs] for block in blocks] == [["one", "two"], ["  three"]]


def test_kinds_of_markdown() -> None:
    blocks = markdown_blocks(MARKDOWN)
    assert [block.kind for block in blocks] == ["title", "text", "list", "table", "code"]
    assert [p.content.text for p in blocks[2].paragraphs] == ["one", "two goes on", "nested"]
    assert [p.marker.text for p in blocks[2].paragraphs if p.marker] == ["-", "-", "3."]
    assert [[cell.text for cell in row] for row in blocks[3].rows] == [["a", "b"], ["1", "2 | 3"]]
    assert blocks[4].paragraphs[0].content.text == "x  = 1"


def test_every_character_knows_its_place() -> None:
    for block in markdown_blocks(MARKDOWN):
        contents = [p.content for p in block.paragraphs] + [cell for row in block.rows for cell in row]
        for content in contents:
            for char, place in zip(content.text, content.offsets.tolist(), strict=True):
                assert MARKDOWN[place] == char or (char == " " and MARKDOWN[place] in "\n ")


def test_emphasis() -> None:
    text = "a **b *c* `d`** snake_case_name 2*3*4"
    content = inline(from_source(text, 0, len(text)))
    assert content.text == "a b c d snake_case_name 2*3*4"
    assert content.runs == ((0, 0), (2, BOLD), (4, BOLD | ITALIC), (5, BOLD), (6, BOLD | CODE), (7, 0))
