"""A sample as a picture: what is seen with its boxes, and beside it what is said."""

from __future__ import annotations

from PIL import Image, ImageDraw

from foveate.data.sample import Sample
from foveate.document import Block, Page
from foveate.errors import OptionError
from foveate.pages.draw import colour, draw_boxes
from foveate.pages.markup import parse

SIDE = 1000  # pixels of a picture's longer side: smaller ones are enlarged, larger ones reduced
PANEL, MARGIN, LETTER = 640, 24, 15  # pixels: the panel's width, its margin, the size of its type
MOST_SCALE = 4.0
MOST_LETTERS = 6000  # of an answer in the picture
UNNAMED = frozenset({"word", "line"})
MOST_NAMES = 60  # boxes of a picture that are named
BACKGROUND = (236, 238, 240)


def picture(sample: Sample) -> Image.Image:
    """The sample's picture with its boxes, and a panel with its facts, its prompt and its answer."""
    seen = with_boxes(sample) if sample.image is not None else None
    height = max(seen.height, SIDE // 2) if seen else SIDE
    panel = panel_of(words(sample), height)
    left = seen.width if seen else 0
    sheet = Image.new("RGB", (left + panel.width, max(height, panel.height)), BACKGROUND)
    if seen:
        sheet.paste(seen, (0, 0))
    sheet.paste(panel, (left, 0))
    return sheet


def with_boxes(sample: Sample) -> Image.Image:
    """The picture, scaled, with its regions outlined, or with the boxes of its answer where it has none."""
    assert sample.image is not None
    width, height = sample.image.size
    blocks = [Block(region.kind, region.text, (region.box,)) for region in sample.regions]
    if not blocks:
        blocks = [block for block in parse(sample.answer, width, height) if block.boxes]
    scale = min(SIDE / max(width, height), MOST_SCALE)
    scaled = sample.image.convert("RGB").resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.LANCZOS
    )
    named = [block for block in blocks if block.kind not in UNNAMED]
    named = named if len(named) <= MOST_NAMES else []
    outlined = [block for block in blocks if block.kind in UNNAMED or not named]
    drawn = draw_boxes(scaled, Page(sample.number, width, height, tuple(named)))
    _outline(drawn, outlined, scale)
    return drawn


def _outline(image: Image.Image, blocks: list[Block], scale: float) -> None:
    """Boxes without names, which would hide a page of words."""
    pen = ImageDraw.Draw(image)
    for block in blocks:
        for box in block.boxes:
            corners = (box.x0 * scale, box.y0 * scale, box.x1 * scale, box.y1 * scale)
            pen.rectangle(corners, outline=colour(block.kind))


def words(sample: Sample) -> str:
    """What the panel says."""
    facts = [sample.kind, sample.task, sample.language, f"number {sample.number}", f"seed {sample.seed}"]
    if sample.image is not None:
        facts.append(f"{sample.image.width} x {sample.image.height} pixels, {len(sample.regions)} regions")
    head = ", ".join(filter(None, facts)) + (f"\n{sample.source}" if sample.source else "")
    said = [f"[{turn.role}]\n{turn.text}" for turn in sample.turns if turn.text]
    text = "\n\n".join([head, *said])
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]} …"


def panel_of(text: str, height: int) -> Image.Image:
    """The text on white, in any script, at least so high; as high as it needs."""
    from foveate.pages.render import Style, render

    margins = (MARGIN,) * 4
    while height < 20 * SIDE:
        style = Style(width=PANEL, height=height, margins=margins, size=LETTER, paragraph_gap=0.4)
        page, *more = render(text, style, limit=2)
        if not more:
            return page.image.convert("RGB")
        height = height * 3 // 2
    raise OptionError("the answer is too long for a picture")
