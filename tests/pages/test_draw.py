import pytest
from PIL import Image

from foveate.document import Block, Box, Page
from foveate.pages.draw import colour, draw_boxes

WHITE = (255, 255, 255)


def page(*blocks: Block, width: int = 400, height: int = 600) -> Page:
    return Page(1, width, height, tuple(blocks))


def test_a_box_is_outlined_in_its_colour_where_it_is():
    image = Image.new("RGB", (400, 600), WHITE)
    drawn = draw_boxes(image, page(Block("table", "", (Box(100, 300, 200, 500),))))
    assert drawn.size == image.size and drawn.mode == "RGB"
    for corner in [(100, 499), (199, 499), (150, 499), (100, 400), (199, 400)]:
        assert drawn.getpixel(corner) == colour("table")
    for outside in [(99, 400), (200, 400), (150, 500), (10, 10), (390, 590)]:
        assert drawn.getpixel(outside) == WHITE
    inside = drawn.getpixel((150, 400))
    assert inside != WHITE and min(inside) > 215


def test_the_image_itself_is_left_alone():
    image = Image.new("RGB", (400, 600), WHITE)
    draw_boxes(image, page(Block("text", "", (Box(0, 0, 400, 600),))))
    assert image.getextrema() == ((255, 255),) * 3


def test_boxes_follow_an_image_of_another_size():
    drawn = draw_boxes(Image.new("L", (800, 300), 255), page(Block("table", "", (Box(100, 300, 200, 500),))))
    assert drawn.getpixel((200, 200)) == drawn.getpixel((399, 249)) == colour("table")
    assert drawn.getpixel((401, 200)) == WHITE and drawn.getpixel((300, 251)) == WHITE


def test_every_box_of_a_block_is_drawn_and_labels_say_order_and_kind():
    blocks = (
        Block("title", "", (Box(50, 100, 350, 120),)),
        Block("text", "", (Box(50, 300, 150, 400), Box(200, 300, 350, 400))),
    )
    drawn = draw_boxes(Image.new("RGB", (400, 600), WHITE), page(*blocks))
    assert drawn.getpixel((50, 350)) == drawn.getpixel((349, 350)) == colour("text")
    label = drawn.crop((300, 85, 350, 100))
    assert {pixel for _, pixel in label.getcolors()} >= {colour("title"), WHITE}


def test_labels_at_one_place_do_not_hide_each_other():
    blocks = [Block(kind, "", (Box(100, 200, 300, 400),)) for kind in ("table", "title", "image")]
    drawn = draw_boxes(Image.new("RGB", (400, 600), WHITE), page(*blocks))
    areas = dict((pixel, count) for count, pixel in drawn.getcolors(maxcolors=100_000))
    assert all(areas[colour(kind)] > 100 for kind in ("table", "title", "image"))


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (64, 64)])
def test_any_page_and_any_box(size):
    blocks = [
        Block("image", "", (Box(0, 0, 1, 1), Box(-50, -50, 5000, 5000), Box(7, 7, 7, 7))),
        Block("a" * 500, "", (Box(5000, 5000, 6000, 6000),)),
        Block("", ""),
        Block("图片", "", (Box(0, 0, 400, 600),)),
    ]
    for mode in ("RGB", "L", "RGBA", "P", "1", "CMYK"):
        assert draw_boxes(Image.new(mode, size), page(*blocks)).size == size
    assert draw_boxes(Image.new("RGB", size), page(*blocks, width=0, height=0)).size == size


def test_colours_are_dark_enough_for_white_letters():
    for kind in (
        "title",
        "text",
        "table",
        "image",
        "equation",
        "image_caption",
        "header",
        "watermark",
        "x",
        "图",
    ):
        red, green, blue = colour(kind)
        assert 0.2126 * red + 0.7152 * green + 0.0722 * blue < 140
        assert colour(kind) == (red, green, blue)
