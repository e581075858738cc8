"""Lines to paragraphs, reading order, kinds, tables and answers, on made-up geometry."""

from foveate.data.documents import answers, compose
from foveate.data.documents.characters import Style, Word
from foveate.data.documents.drawings import Drawings, Rule
from foveate.data.documents.pdf_text import PageText
from foveate.document import Box, tables
from foveate.pages.markup import KINDS, parse


class Sheet:
    """A page of 600 x 800 points on which words are put."""

    def __init__(self) -> None:
        self.words: list[Word] = []
        self.drawn = Drawings()

    def line(
        self, text: str, x: float, y: float, size: float = 10, bold: bool = False, gap: float = 3
    ) -> None:
        for each in text.split():
            width = 0.5 * size * len(each)
            box = Box(x, y - 0.7 * size, x + width, y)
            self.words.append(Word(each, box, y, Style(size, bold), len(self.words)))
            x += width + gap

    def block(self, text: str, x: float, y: float, lines: int, size: float = 10) -> float:
        for _ in range(lines):
            self.line(text, x, y, size)
            y += 1.2 * size
        return y

    def layout(self, above: tuple[str, ...] = (), below: tuple[str, ...] = ()) -> compose.Layout:
        return compose.compose(PageText(600, 800, tuple(self.words), self.drawn), above, below)

    def texts(self) -> list[str]:
        return [area.plain for area in self.layout().areas]


LONG = "some words that fill a line of a column"


def test_columns_are_read_one_after_the_other() -> None:
    sheet = Sheet()
    sheet.line("Across both columns stands the heading of all", 50, 100, 16, bold=True)
    for column, x in (("left", 50), ("right", 320)):
        for part in range(2):
            sheet.block(f"{column}{part} {LONG}", x, 140 + 90 * part, 5)
    firsts = [text.split()[0] for text in sheet.texts()]
    assert firsts == ["Across", "left0", "left1", "right0", "right1"]


def test_columns_that_begin_in_the_middle_of_the_page() -> None:
    sheet = Sheet()
    sheet.block("wide " + LONG + " and runs over both of the columns that follow below it", 50, 100, 4)
    sheet.block(f"left {LONG}", 50, 200, 5)
    sheet.block(f"right {LONG}", 320, 203, 5)
    sheet.block("last " + LONG + " and runs over both of the columns that came before it", 50, 320, 4)
    assert [text.split()[0] for text in sheet.texts()] == ["wide", "left", "right", "last"]


def test_indents_and_short_lines_part_paragraphs() -> None:
    sheet = Sheet()
    y = sheet.block(f"one {LONG}", 50, 100, 3)
    sheet.line(f"two {LONG}"[:-4], 65, y)
    y = sheet.block(f"two {LONG}", 50, y + 12, 3)
    sheet.line("end of two.", 50, y)
    sheet.block(f"six {LONG}", 50, y + 12, 3)
    assert [text.split()[0] for text in sheet.texts()] == ["one", "two", "six"]


def test_kinds_of_headings_lists_captions_and_page_edges() -> None:
    sheet = Sheet()
    sheet.line("Journal of Things", 50, 30, 8)
    sheet.line("The Title of the Paper", 50, 110, 22, bold=True)
    sheet.line("2.1 A section", 50, 150, 10, bold=True)
    y = sheet.block(f"text {LONG}", 50, 170, 4) + 10
    for number in range(1, 4):
        sheet.line(f"{number}. item of a list", 60, y)
        y += 14
    sheet.line("Table 1: What was measured", 50, y + 30)
    sheet.line("1 A note in small letters", 50, 700, 7)
    sheet.line("17", 300, 780)
    layout = sheet.layout(above=("Journal of Things\n",), below=("16",))
    assert [(area.kind, area.plain.split()[0]) for area in layout.areas] == [
        ("header", "Journal"),
        ("title", "The"),
        ("sub_title", "2.1"),
        ("text", "text"),
        ("list", "1."),
        ("table_caption", "Table"),
        ("page_footnote", "1"),
        ("page_number", "17"),
    ]
    markup = answers.fine(layout)
    assert "\n# The Title of the Paper" in markup and "\n### 2.1 A section" in markup
    assert "1. item of a list\n2. item of a list\n3. item of a list" in markup


def test_what_is_written_is_what_the_parser_reads() -> None:
    sheet = Sheet()
    sheet.line("A <|ref|> that is no reference", 50, 150, 14, bold=True)
    sheet.block(f"text {LONG}", 50, 190, 4)
    layout = sheet.layout()
    blocks = parse(answers.fine(layout), 600, 800)
    assert [block.kind for block in blocks] == [area.kind for area in layout.areas]
    assert {block.kind for block in blocks} <= KINDS
    for block, area in zip(blocks, layout.areas, strict=True):
        assert block.box is not None
        assert abs(block.box.x0 - area.box.x0) <= 0.31 and abs(block.box.y1 - area.box.y1) <= 0.41
    lines = parse(answers.by_line(layout), 600, 800, prompt="ocr")
    assert [line.text or line.kind for line in lines][1:] == [f"text {LONG}"] * 4


def test_cut_words_are_put_together() -> None:
    def paragraph(*texts: str, known: tuple[str, ...] = ()) -> str:
        sheet = Sheet()
        for place, text in enumerate(texts):
            sheet.line(text, 50, 200 + 12 * place)
        lines = sheet.layout().areas[0].lines
        return answers.paragraph(lines, frozenset(known))

    assert paragraph("the odor-", "ants of it") == "the odorants of it"
    assert paragraph("of high-", "quality work", known=("high-quality",)) == "of high-quality work"
    assert paragraph("state-of-the-", "art work") == "state-of-the-art work"
    assert paragraph("the Anglo-", "Saxon king") == "the Anglo- Saxon king"


def grid(sheet: Sheet, xs: list[float], ys: list[float], without: tuple[str, ...] = ()) -> None:
    sheet.drawn.across += [Rule(xs[0], xs[-1], y) for y in ys]
    for x in xs:
        sheet.drawn.down.append(Rule(ys[0] if f"{x:g}" not in without else ys[1], ys[-1], x))


def test_ruled_tables_have_their_cells_and_spans() -> None:
    sheet = Sheet()
    grid(sheet, [50, 150, 250, 350], [200, 220, 240, 260], without=("250",))
    for row, texts in enumerate([("Name", "Both"), ("a", "1", "2"), ("b", "3", "4")]):
        for column, text in enumerate(texts):
            sheet.line(text, 60 + 100 * column, 214 + 20 * row, 10, bold=row == 0)
    [area] = sheet.layout().areas
    assert area.kind == "table"
    rows = tables.parse(area.html)
    assert [[(cell.text, cell.colspan, cell.header) for cell in row] for row in rows] == [
        [("Name", 1, True), ("Both", 2, True)],
        [("a", 1, False), ("1", 1, False), ("2", 1, False)],
        [("b", 1, False), ("3", 1, False), ("4", 1, False)],
    ]


def test_a_word_across_a_border_makes_no_table() -> None:
    sheet = Sheet()
    grid(sheet, [50, 150, 250], [200, 220, 240])
    for row in range(2):
        sheet.line("a very long word thatcrossestheborder of it", 60, 214 + 20 * row)
    assert all(area.kind != "table" for area in sheet.layout().areas)


def test_tables_with_three_lines() -> None:
    sheet = Sheet()
    sheet.drawn.across = [Rule(50, 350, 200), Rule(50, 350, 220), Rule(50, 350, 290)]
    for row, texts in enumerate(
        [("Kind", "Count", "Share"), ("one", "12", "0.3"), ("two", "7", "0.2"), ("six", "1", "0")]
    ):
        for column, text in enumerate(texts):
            sheet.line(text, 60 + 100 * column, 214 + 20 * row)
    sheet.block(f"text {LONG}", 50, 330, 4)
    table, text = sheet.layout().areas
    assert (table.kind, text.kind) == ("table", "text")
    rows = tables.parse(table.html)
    assert [cell.text for cell in rows[2]] == ["two", "7", "0.2"]
    assert all(cell.header for cell in rows[0]) and not any(cell.header for cell in rows[1])


def test_a_frame_around_text_is_no_picture() -> None:
    sheet = Sheet()
    sheet.block(f"text {LONG}", 60, 220, 6)
    sheet.drawn.pictures = [Box(50, 200, 330, 300)]
    assert [area.kind for area in sheet.layout().areas] == ["text"]
    sheet.drawn.pictures = [Box(50, 400, 330, 600)]
    assert [area.kind for area in sheet.layout().areas] == ["text", "image"]


def test_words_of_a_drawing_stay_with_it() -> None:
    sheet = Sheet()
    for bar in range(10):
        sheet.drawn.paths.append(Box(100 + 20 * bar, 300 - 10 * bar, 112 + 20 * bar, 400))
    sheet.line("0.5", 84, 350, 7)
    sheet.line("Figure 2. Bars", 100, 420, 9)
    layout = sheet.layout()
    assert [(area.kind, area.plain) for area in layout.areas] == [
        ("image", "0.5"),
        ("image_caption", "Figure 2. Bars"),
    ]
    assert "0.5" not in answers.fine(layout) and "<center>Figure 2. Bars</center>" in answers.fine(layout)
    assert "0.5" in answers.coarse(layout)
