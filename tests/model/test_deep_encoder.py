"""The order of vision tokens, and pages of different shapes in one call."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from foveate.model.deep_encoder import DeepEncoder, join_tiles
from foveate.pages.mode import MODES, Mode
from tests.tiny import CONFIG, distance, fill, noise, views

MINI = Mode("mini", 256, tile=128)  # 4 x 4 tokens, tiles of 2 x 2
PLAIN = Mode("plain", 192)  # 3 x 3 tokens
WIDTH = CONFIG.decoder.hidden_size


@pytest.fixture(scope="module")
def encoder() -> DeepEncoder:
    sam = replace(CONFIG.sam, image_size=256, window_size=6)
    return fill(DeepEncoder(replace(CONFIG, sam=sam)))


def numbered(*shape: int) -> Tensor:
    """Tokens (…, D) that all differ, each the same number in every channel."""
    numbers = torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.float32)
    return numbers.view(*shape, 1).expand(*shape, WIDTH)


@pytest.mark.parametrize("grid", [(2, 3), (3, 2), (1, 2), (5, 1), (1, 1)])
def test_tiles_are_joined_as_they_were_cut(grid: tuple[int, int]) -> None:
    columns, rows = grid
    square = numbered(rows * 2, columns * 2)
    tiles = [
        square[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        for row in range(rows)
        for column in range(columns)
    ]
    assert torch.equal(join_tiles(torch.stack(tiles), grid), square)


@pytest.mark.parametrize("grid", [(2, 3), (3, 1)])
def test_tiles_then_the_whole_page_then_the_separator(grid: tuple[int, int], encoder: DeepEncoder) -> None:
    columns, rows = grid
    whole, tiles = -numbered(4, 4), numbered(columns * rows, 2, 2)
    newline, separator = encoder.image_newline, encoder.view_separator
    expected = []
    for y in range(rows * 2):
        expected += [tiles[y // 2 * columns + x // 2, y % 2, x % 2] for x in range(columns * 2)] + [newline]
    for y in range(4):
        expected += [*whole[y], newline]
    assert torch.equal(encoder.arrange(whole, tiles, grid), torch.stack([*expected, separator]))


def test_a_page_without_tiles_is_the_whole_page_and_the_separator(encoder: DeepEncoder) -> None:
    whole = numbered(3, 3)
    arranged = encoder.arrange(whole, None, (1, 1))
    assert torch.equal(arranged.view(-1, WIDTH)[:12].view(3, 4, WIDTH)[:, :3], whole)
    assert torch.equal(arranged[3], encoder.image_newline) and torch.equal(
        arranged[-1], encoder.view_separator
    )
    assert len(arranged) == 3 * 4 + 1


def test_tokens_stand_where_their_pixels_stood(encoder: DeepEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """From picture to sequence: a token that is its 64 pixels' mean finds them in the page's own order."""
    page = views(900, 1300, MINI)
    assert page.grid == (2, 3) and page.tiles is not None

    def means(pixels: Tensor) -> Tensor:
        blocks = pixels.unfold(2, 64, 64).unfold(3, 64, 64).mean((-1, -2))  # (B, 3, H, W)
        return blocks.permute(0, 2, 3, 1).repeat(1, 1, 1, WIDTH // 3)

    monkeypatch.setattr(encoder, "encode", means)
    (sequence,) = encoder([page])
    local = sequence[: 6 * 5].view(6, 5, WIDTH)[:, :4, :3]  # without newlines
    whole = sequence[6 * 5 : -1].view(4, 5, WIDTH)[:, :4, :3]
    upright = torch.cat(
        [torch.cat(list(page.tiles[row * 2 : row * 2 + 2]), dim=2) for row in range(3)], dim=1
    )
    torch.testing.assert_close(local, means(upright[None])[0, ..., :3])
    torch.testing.assert_close(whole, means(page.whole[None])[0, ..., :3])


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_pages_of_different_modes_in_one_call_equal_one_at_a_time(batch: int, encoder: DeepEncoder) -> None:
    pages = [
        views(900, 1300, MINI, 0),
        views(300, 200, PLAIN, 1),
        views(300, 200, MINI, 2),
        views(2000, 700, MINI, 3),
        views(500, 900, PLAIN, 4),
    ]
    together = encoder(pages, batch)
    modes = (MINI, PLAIN, MINI, MINI, PLAIN)
    sizes = ((900, 1300), (300, 200), (300, 200), (2000, 700), (500, 900))
    for page, tokens, mode, size in zip(pages, together, modes, sizes, strict=True):
        assert tokens.shape == (mode.layout(*size).sequence_length, WIDTH)
        assert distance(tokens, encoder([page])[0]) < 1e-5


def test_every_mode_has_its_number_of_tokens(encoder: DeepEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        encoder,
        "encode",
        lambda pixels: pixels.new_zeros(len(pixels), *(s // 64 for s in pixels.shape[2:]), WIDTH),
    )
    for mode in MODES.values():
        for size in ((600, 500), (700, 1000), (1600, 900)):
            (tokens,) = encoder([views(*size, mode)])
            assert len(tokens) == mode.layout(*size).sequence_length, mode.name


def test_features_are_clips_then_sams(encoder: DeepEncoder) -> None:
    pixels = noise(2, 3, 128, 128)
    local = encoder.compressor(encoder.sam(pixels))
    context = encoder.clip(local)
    features = torch.cat([context, local.permute(0, 2, 3, 1).flatten(1, 2)], dim=-1)
    torch.testing.assert_close(encoder.encode(pixels), encoder.projector(features).view(2, 2, 2, WIDTH))
