"""What reading gives: Document > Page > Block, as Markdown, text, HTML or JSON.

structure.py     the dataclasses and their JSON
tables.py        HTML tables as the model writes them: repaired, as pipes, tabs or clean HTML
inline.py        formulas, code, emphasis and tags inside a paragraph
flow.py          headings, lists, tables and paragraphs inside a block
as_markdown.py   as_text.py   as_html.py
"""

from foveate.document.structure import (
    FURNITURE,
    GRID,
    SCHEMA_VERSION,
    Attempt,
    Block,
    Box,
    Document,
    Page,
)

__all__ = ["FURNITURE", "GRID", "SCHEMA_VERSION", "Attempt", "Block", "Box", "Document", "Page"]
