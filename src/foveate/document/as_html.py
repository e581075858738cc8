"""Pages and documents as HTML5 that is safe to open: model output is untrusted.

Nothing of the model's markup is passed on. Every tag is written here, every character escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from foveate.document import as_markdown, flow, inline, tables

if TYPE_CHECKING:
    from foveate.document.structure import Block, Document, Page

_HEAD = """<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="script-src 'none'; object-src 'none'; base-uri 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.55 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }}
section.page + section.page {{ border-top: 1px solid #bbb; margin-top: 2rem; padding-top: 1rem; }}
p, li {{ white-space: pre-line; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ border: 1px solid #999; padding: .2rem .5rem; text-align: start; vertical-align: top; }}
img {{ max-width: 100%; }}
pre {{ overflow-x: auto; background: #f4f4f4; padding: .5rem; }}
code.display {{ display: block; text-align: center; white-space: pre-wrap; }}
[data-kind$="_caption"] {{ text-align: center; font-size: .9em; }}
[data-kind="header"], [data-kind="footer"], [data-kind="page_number"], [data-kind$="footnote"] {{
  color: #666; font-size: .85em; }}
.missing {{ border: 1px dashed #999; color: #666; text-align: center; padding: 1rem; }}
.error {{ color: #a00; }}
</style>
</head>
<body>
"""


def render_document(document: Document, images: Mapping[str, bytes]) -> str:
    """A whole HTML5 document; images as file name -> bytes are put inside, others linked."""
    head = _HEAD.format(title=inline.escape(document.source) or "Document")
    return head + "\n".join(render_page(page, images) for page in document.pages) + "\n</body>\n</html>\n"


def render_page(page: Page, images: Mapping[str, bytes]) -> str:
    """One <section> with the page's blocks; data-width and data-height are the page's pixels."""
    lines = [f'<section class="page" data-page="{page.number}" data-width="{page.width}" '
             f'data-height="{page.height}">']  # fmt: skip
    for index, block in enumerate(page.blocks):
        lines.append(render_block(block, as_markdown.caption(page.blocks, index), images))
    if page.error is not None:
        lines.append(f'<p class="error">{inline.escape(f"This page could not be read: {page.error}")}</p>')
    return "\n".join([*lines, "</section>"])


def render_block(block: Block, caption: str, images: Mapping[str, bytes]) -> str:
    """One <div> with the block; data-box holds "x0 y0 x1 y1" in pixels, several boxes apart by ";"."""
    attributes = {"data-kind": block.kind}
    if block.boxes:
        boxes = ((box.x0, box.y0, box.x1, box.y1) for box in block.boxes)
        attributes["data-box"] = "; ".join(" ".join(f"{value:.1f}" for value in box) for box in boxes)
    if block.confidence is not None:
        attributes["data-confidence"] = f"{block.confidence:.4f}"
    written = "".join(f' {name}="{inline.escape(value)}"' for name, value in attributes.items())
    return f'<div class="block" dir="auto"{written}>{"".join(_content(block, caption, images))}</div>'


def _content(block: Block, caption: str, images: Mapping[str, bytes]) -> Iterator[str]:
    if block.image:
        address = inline.escape(_address(block.image, images))
        yield f'<img src="{address}" alt="{inline.escape(caption)}">'
    elif block.kind == "image" and not block.text.strip():
        yield '<p class="missing">image</p>'
    for node in flow.nodes(as_markdown.source(block)):
        yield _node(node)


def _address(image: str, images: Mapping[str, bytes]) -> str:
    if image not in images:
        return quote(image)  # a colon becomes %3A: always a file next to the document
    kind = "png" if image.lower().endswith(".png") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(images[image]).decode('ascii')}"


def _node(node: flow.Node) -> str:
    if node.kind == "code":
        return f"<pre><code>{inline.escape(node.text)}</code></pre>"
    if node.kind == "table":
        return tables.to_html([list(row) for row in node.rows]) if node.rows else ""
    if node.kind == "list":
        return _list(node.items)
    name = f"h{node.level}" if node.kind == "heading" else "p"
    return f"<{name}>{inline.as_html(node.text)}</{name}>"


def _list(items: tuple[flow.Item, ...]) -> str:
    """Nested lists, by indentation; an item less indented than its list goes back to the one outside."""
    written: list[str] = []
    opened: list[tuple[int, str]] = []  # indentation and name of each open list, the outermost first
    for item in items:
        name = "ol" if item.marker[0].isdigit() else "ul"
        while len(opened) > 1 and item.indent < opened[-1][0]:
            written.append(f"</li></{opened.pop()[1]}>")
        if opened and item.indent < opened[-1][0] + 2 and opened[-1][1] != name:
            written.append(f"</li></{opened.pop()[1]}>")
        if not opened or item.indent >= opened[-1][0] + 2:
            written.append(_list_tag(name, item.marker))
            opened.append((item.indent, name))
        else:
            written.append("</li>")
        written.append(f"<li>{inline.as_html(item.text)}")
    written += [f"</li></{name}>" for _, name in reversed(opened)]
    return "".join(written)


def _list_tag(name: str, marker: str) -> str:
    start = int(marker[:-1]) if name == "ol" else 1
    return f"<{name}>" if start == 1 else f'<{name} start="{start}">'
