"""The page around the charts: one HTML file that needs nothing else, light or dark as the browser is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from foveate.evaluation.report import svg
from foveate.evaluation.report.charts import Cell, Chart, Table

LONG = 18  # characters of a cell that is set as prose
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root{--paper:#fbfbf9;--card:#fff;--ink:#1d2126;--soft:#5d6670;--line:#e3e4e0;--grid:#e9eae6;--mark:#fff0c2;
--good:#12733f;--bad:#b3261e;--field:37 99 201;
--c0:#2563c9;--c1:#d0571b;--c2:#178a5c;--c3:#9a3fb0;--c4:#a67c00;--c5:#c22f56;--c6:#0c7f96;--c7:#6b6b6b}
@media(prefers-color-scheme:dark){:root{--paper:#14171a;--card:#1c2024;--ink:#e6e8ea;--soft:#9aa4ae;
--line:#2d3338;
--grid:#2a3035;--mark:#5c4a12;--good:#6fd39b;--bad:#ff8f85;--field:110 168 255;
--c0:#6ea8ff;--c1:#ff9a5c;--c2:#5fd0a0;--c3:#d68cf0;--c4:#e3b93c;--c5:#ff7d9d;--c6:#4fd0e6;--c7:#b0b0b0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",
"Noto Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 24px 80px}
h1{font-size:30px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:21px;margin:52px 0 6px;padding-top:20px;border-top:1px solid var(--line)}
h3{font-size:15px;margin:0 0 10px;font-weight:600}
p{margin:6px 0 14px;max-width:72ch}.soft{color:var(--soft)}
nav{margin:18px 0 0;display:flex;flex-wrap:wrap;gap:6px 18px;font-size:14px}a{color:var(--c0)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:18px;
margin:16px 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px;min-width:0}
.card.wide{grid-column:1/-1}.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:6px 12px 6px 0;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;
vertical-align:baseline}
th{color:var(--soft);font-weight:500}th:first-child,td:first-child{text-align:left}
tbody tr:last-child td{border-bottom:0}
td.text{white-space:normal;text-align:left;overflow-wrap:anywhere;min-width:9em}
th.text{text-align:left}.note{font-size:13px;color:var(--soft);margin:10px 0 0}
svg{display:block;width:100%;height:auto}svg text{font-size:14px;fill:var(--soft)}
.grid{stroke:var(--grid)}.axis{stroke:var(--soft);stroke-opacity:.55}
.line{fill:none;stroke:currentColor;stroke-width:2.2;stroke-linejoin:round}.dot{fill:currentColor}
.whisker{stroke:currentColor;stroke-width:5;stroke-opacity:.22;stroke-linecap:round}
.reference .line{stroke-dasharray:5 5;stroke-width:1.6}.reference .dot{fill:var(--card);
stroke:currentColor;stroke-width:1.8}
.field{fill:rgb(var(--field))}.none{fill:var(--grid)}svg text.in{text-anchor:middle;font-size:13.5px}
svg text.in.low{fill:var(--ink)}svg text.in.high{fill:var(--card)}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;list-style:none;margin:0 0 8px;padding:0;font-size:13px}
.legend i{display:inline-block;width:20px;height:0;border-top:3px solid currentColor;border-radius:2px;
margin-right:7px;vertical-align:middle}
.legend .reference i{border-top:2px dashed}.legend li{color:var(--soft)}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}
.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}
.legend li.c0 i{color:var(--c0)}.legend li.c1 i{color:var(--c1)}.legend li.c2 i{color:var(--c2)}
.legend li.c3 i{color:var(--c3)}
.legend li.c4 i{color:var(--c4)}.legend li.c5 i{color:var(--c5)}.legend li.c6 i{color:var(--c6)}
.legend li.c7 i{color:var(--c7)}
.side{display:grid;grid-template-columns:minmax(220px,320px) 1fr;gap:20px;align-items:start}
@media(max-width:760px){.side{grid-template-columns:1fr}}
.side img{width:100%;border:1px solid var(--line);border-radius:6px;background:#fff}
.side .texts{display:grid;gap:14px;min-width:0}
.reading{max-width:none;font-size:13.5px;line-height:1.55;max-height:15em;overflow:auto;overflow-wrap:anywhere;margin:0;
color:var(--ink)}
.reading b{font-weight:400;background:var(--mark);border-radius:3px;padding:0 2px}
.reading s{color:var(--bad);text-decoration-thickness:1px;opacity:.8}
.score{float:right;font-variant-numeric:tabular-nums;color:var(--soft);font-weight:400}
"""


@dataclass(frozen=True)
class Raw:
    """HTML that is safe already, under a title."""

    title: str
    html: str
    wide: bool = True


@dataclass(frozen=True)
class Section:
    """A part of the report."""

    title: str
    intro: str
    items: tuple[Chart | Table | Raw, ...]


def render(title: str, about: str, sections: Sequence[Section]) -> str:
    """The whole page."""
    names = [f"part-{number}" for number in range(len(sections))]
    links = "".join(
        f'<a href="#{name}">{escape(section.title)}</a>'
        for name, section in zip(names, sections, strict=True)
    )
    body = "".join(_section(name, section) for name, section in zip(names, sections, strict=True))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{escape(title)}</h1><p class="soft">{escape(about)}</p><nav>{links}</nav>{body}'
        "</main></body></html>\n"
    )


def _section(name: str, section: Section) -> str:
    cards = "".join(_card(item) for item in section.items)
    intro = f'<p class="soft">{escape(section.intro)}</p>' if section.intro else ""
    head = f'<h2 id="{name}">{escape(section.title)}</h2>{intro}'
    return f'<section>{head}<div class="cards">{cards}</div></section>'


def _card(item: Chart | Table | Raw) -> str:
    if isinstance(item, Table):
        look = "card wide" if item.wide else "card"
        return f'<div class="{look}"><h3>{escape(item.title)}</h3>{_table(item)}</div>'
    if isinstance(item, Raw):
        return f'<div class="card{" wide" if item.wide else ""}"><h3>{item.title}</h3>{item.html}</div>'
    return f'<figure class="card" style="margin:0"><h3>{escape(item.title)}</h3>{svg.draw(item)}</figure>'


def _table(table: Table) -> str:
    columns: list[Sequence[Cell]] = list(zip(*table.rows, strict=True)) or [()] * len(table.head)
    looks = [' class="text"' if _is_prose(column) else "" for column in columns]
    head = "".join(f"<th{look}>{escape(name)}</th>" for look, name in zip(looks, table.head, strict=True))
    rows = "".join(f"<tr>{_cells(row, looks)}</tr>" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    body = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="scroll"><table>{body}</table></div>{note}'


def _cells(row: Sequence[Cell], looks: Sequence[str]) -> str:
    return "".join(f"<td{look}>{escape(shown(cell))}</td>" for look, cell in zip(looks, row, strict=True))


def _is_prose(column: Sequence[Cell]) -> bool:
    """Whether a column holds words that are better read from the left."""
    return any(isinstance(cell, str) and len(cell) > LONG for cell in column)


def shown(cell: Cell) -> str:
    """A cell as it is read: few digits, a dash for nothing."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        digits = 3 if abs(cell) < 10 else 1 if abs(cell) < 1000 else 0
        return f"{cell:,.{digits}f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
