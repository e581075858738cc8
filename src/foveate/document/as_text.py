"""Pages as plain text: the words as a reader says them, tables as tabs, no signs of markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foveate.document import as_markdown, flow, inline, tables

if TYPE_CHECKING:
    from foveate.document.structure import Block, Page


def render_page(page: Page, furniture: bool = False) -> str:
    """The page's blocks in reading order, an empty line between them; nothing for pictures."""
    texts = [render_block(block) for block in page.shown(furniture)]
    return "\n\n".join(text for text in texts if text)


def render_block(block: Block) -> str:
    """One block's words."""
    texts = [_node(node) for node in flow.nodes(as_markdown.source(block))]
    return "\n\n".join(text for text in texts if text.strip())


def _node(node: flow.Node) -> str:
    if node.kind == "code":
        return node.text
    if node.kind == "table":
        return tables.to_tabs([list(row) for row in node.rows])
    if node.kind == "list":
        return "\n".join(_item(item) for item in node.items)
    lines = inline.plain(node.text).split("\n")
    return "\n".join(line.strip() for line in lines).strip()


def _item(item: flow.Item) -> str:
    # Where a line ends inside an item is the paper's doing, not the writer's, but the reader may care.
    lines = inline.plain(item.text).split("\n")
    head = f"{' ' * item.indent}{item.marker} {lines[0].strip()}"
    return "\n".join([head, *(" " * item.indent + "  " + line.strip() for line in lines[1:])])
