"""SAM's windows, its decomposed relative positions, and what is interpolated for other sizes."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from foveate.model import sam
from foveate.model.sam import (
    Attention,
    Sam,
    interpolate_positions,
    join_windows,
    relative_table,
    split_windows,
)
from tests.tiny import CONFIG, fill, noise

TINY = replace(CONFIG.sam, image_size=128, window_size=3)  # 8 x 8 patches


@pytest.mark.parametrize(
    ("height", "width", "side"), [(14, 14, 14), (28, 14, 14), (20, 33, 14), (5, 3, 7), (8, 8, 3)]
)
def test_windows_are_split_and_joined(height: int, width: int, side: int) -> None:
    x = noise(2, height, width, 3)
    windows = split_windows(x, side)
    rows, columns = -(-height // side), -(-width // side)
    assert windows.shape == (2 * rows * columns, side, side, 3)
    for number, window in enumerate(windows):
        image, row, column = number // (rows * columns), number // columns % rows, number % columns
        part = x[image, row * side : (row + 1) * side, column * side : (column + 1) * side]
        zeros = (0, 0, 0, side - part.shape[1], 0, side - part.shape[0])
        assert torch.equal(window, F.pad(part, zeros))
    assert torch.equal(join_windows(windows, height, width), x)


def by_hand(attention: Attention, x: Tensor) -> Tensor:
    """The definition: one query and one key at a time, with a vector for their distance in each direction."""
    b, side, _, width = x.shape
    heads, c = attention.heads, attention.head_dim
    q, k, v = attention.qkv(x).view(b, side * side, 3, heads, c).unbind(2)
    scores = torch.zeros(b, heads, side * side, side * side)
    for i in range(side * side):
        for j in range(side * side):
            down = attention.rel_pos_h[i // side - j // side + side - 1]
            across = attention.rel_pos_w[i % side - j % side + side - 1]
            scores[:, :, i, j] = (q[:, i] * (k[:, j] * c**-0.5 + down + across)).sum(-1)
    attended = torch.einsum("bnij,bjnc->binc", scores.softmax(-1), v)
    out: Tensor = attention.proj(attended.reshape(b, side, side, width))
    return out


def test_attention_is_its_definition() -> None:
    attention, x = fill(Attention(TINY, side=4)), noise(2, 4, 4, TINY.width)
    torch.testing.assert_close(attention(x), by_hand(attention, x))


@pytest.mark.parametrize(
    ("rows", "queries"), [(0, [17] * 17), (1, [17] * 17), (5, [85, 85, 85, 34]), (17, [289])]
)
def test_attention_in_parts_equals_attention_at_once(
    rows: int, queries: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queries are taken some rows of patches at a time; five rows leave a rest."""
    side, b = 17, 2
    attention, x = fill(Attention(TINY, side)), noise(b, side, side, TINY.width)
    whole, bias, calls = attention(x), attention.position_bias, []

    def counted(q: Tensor, *tables: Tensor) -> Tensor:
        calls.append(q.shape[2])
        return bias(q, *tables)

    monkeypatch.setattr(attention, "position_bias", counted)
    monkeypatch.setitem(sam.ATTENTION_ELEMENTS, "cpu", rows * b * TINY.heads * side**3)
    torch.testing.assert_close(attention(x), whole)
    assert calls == queries


def test_a_window_sees_itself_alone_and_a_global_layer_everything() -> None:
    model = fill(Sam(replace(TINY, layers=1, global_attn_indexes=())))
    x = noise(1, 8, 8, TINY.width)
    changed = x.clone()
    changed[0, 0, 0] = noise(TINY.width, seed=1)
    moved = (model.blocks[0](changed) - model.blocks[0](x)).abs().amax(-1)[0] > 1e-6
    assert moved[:3, :3].all() and moved.sum() == 9
    everywhere = fill(Sam(replace(TINY, layers=1, global_attn_indexes=(0,)))).blocks[0]
    assert ((everywhere(changed) - everywhere(x)).abs().amax(-1) > 0).all()


def test_layers_are_global_where_the_configuration_says_so() -> None:
    blocks = Sam(replace(TINY, layers=4, global_attn_indexes=(1, 3))).blocks
    assert [block.window_size for block in blocks] == [3, 0, 3, 0]
    tables = [block.get_parameter("attn.rel_pos_h") for block in blocks]
    assert [len(table) for table in tables] == [5, 15, 5, 15]


def test_relative_positions_of_the_stored_size_and_of_others() -> None:
    stored = noise(15, 4)
    table = relative_table(8, stored)
    assert all(torch.equal(table[i, j], stored[i - j + 7]) for i in range(8) for j in range(8))
    for side in (5, 12):
        other = relative_table(side, stored)
        line = F.interpolate(stored.T[None], size=2 * side - 1, mode="linear")[0].T
        assert other.shape == (side, side, 4)
        assert torch.equal(other[0], line[:side].flip(0)) and torch.equal(other[-1], line[side - 1 :].flip(0))
    assert relative_table(5, stored.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("side", [5, 8, 20])
def test_positions_for_another_side(side: int) -> None:
    stored = noise(1, 8, 8, 4)
    assert interpolate_positions(stored, 8) is stored
    resized = interpolate_positions(stored.bfloat16(), side)
    assert (resized.shape, resized.dtype) == ((1, side, side, 4), torch.bfloat16)
    # A slope across stays one across: rows and columns are not swapped.
    slope = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 8, 8, 4)
    across = interpolate_positions(slope, side)
    assert (across.diff(dim=2) > 0).all() and across.diff(dim=1).abs().max() < 1e-5
    torch.testing.assert_close(
        interpolate_positions(torch.ones(1, 8, 8, 4), side), torch.ones(1, side, side, 4)
    )


@pytest.mark.parametrize("side", [64, 128, 192])
def test_features_of_every_size(side: int) -> None:
    features = fill(Sam(TINY))(noise(2, 3, side, side))
    assert features.shape == (2, TINY.neck_channels, side // 16, side // 16)
