"""The decoder: who sees whom, where a token stands, and padding that nobody notices."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from foveate.model.attention import rotary_table, rotate, sequence_mask
from foveate.model.decoder import Decoder
from foveate.model.ocr import OCR
from tests.tiny import CONFIG, fill, network, noise, with_decoder

SIZES = CONFIG.decoder
ROWS = ([3, 4, 5, 6, 7, 8, 9], [10, 11, 12], [13, 14, 15, 16, 17])


@pytest.fixture(scope="module")
def model() -> OCR:
    return network()


@pytest.fixture(scope="module")
def windowed() -> OCR:
    return network(with_decoder(sliding_window=2))


def pad(rows: tuple[list[int], ...], side: str, padding: int = 20) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    fills = [[padding] * (longest - len(row)) for row in rows]
    ids = [row + fill if side == "right" else fill + row for row, fill in zip(rows, fills, strict=True)]
    seen = [[0 if place in range(len(fill)) else 1 for place in range(longest)] for fill in fills]
    mask = torch.tensor(seen)
    return torch.tensor(ids), mask if side == "left" else mask.flip(1)


def test_a_token_sees_none_that_comes_later(model: OCR) -> None:
    ids = torch.tensor([ROWS[0]])
    before = model(ids)
    for place in range(ids.shape[1]):
        changed = ids.clone()
        changed[0, place] = 40
        after = model(changed)
        assert torch.allclose(after[0, :place], before[0, :place], atol=1e-5)
        assert ((after - before)[0, place:].abs().amax(-1) > 1e-4).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_not_seen(side: str, model: OCR) -> None:
    ids, mask = pad(ROWS, side)
    batched, other = model(ids, (), mask), model(pad(ROWS, side, padding=50)[0], (), mask)
    for row, numbers in enumerate(ROWS):
        real = mask[row].bool()
        torch.testing.assert_close(batched[row][real], model(torch.tensor([numbers]))[0])
        torch.testing.assert_close(batched[row][real], other[row][real])
    assert batched.isfinite().all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_does_not_move_the_window(side: str, windowed: OCR) -> None:
    prompts = torch.tensor([2, 1, 3])
    ids, mask = pad(ROWS, side)
    starts = prompts + (mask.shape[1] - mask.sum(1) if side == "left" else 0)
    batched = windowed(ids, (), mask, starts)
    for row, numbers in enumerate(ROWS):
        alone = windowed(torch.tensor([numbers]), prompt_lengths=prompts[row : row + 1])
        torch.testing.assert_close(batched[row][mask[row].bool()], alone[0])


def test_a_window_needs_to_know_where_answers_begin(model: OCR, windowed: OCR) -> None:
    ids = torch.tensor([ROWS[0]])
    assert torch.equal(windowed(ids), model(ids))
    assert not torch.allclose(windowed(ids, prompt_lengths=torch.tensor([1])), model(ids), atol=1e-3)


@pytest.mark.parametrize("window", [None, 1, 2, 4])
def test_masks_are_their_definition(window: int | None) -> None:
    length = 7
    present = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]])
    prompts = [3, 4, 2]  # from the left edge
    mask = sequence_mask(present, torch.tensor(prompts), window, length)
    assert mask.shape == (3, 1, length, length)
    for row, prompt in enumerate(prompts):
        for query in range(length):
            for key in range(length):
                of_prompt, recent = key < prompt, window is None or key > query - window
                sees = key <= query and bool(present[row, key]) and (of_prompt or recent)
                assert bool(mask[row, 0, query, key]) == (sees or query == key), (row, query, key)


def test_masks_without_padding_or_prompts() -> None:
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    assert torch.equal(sequence_mask(None, None, None, 5)[0, 0], causal)
    assert torch.equal(sequence_mask(None, None, 2, 5)[0, 0], causal)  # everything is prompt
    windowed = sequence_mask(None, torch.tensor([0]), 2, 5)[0, 0]
    assert torch.equal(windowed, causal & ~causal.tril(-2))


def test_rotation_is_that_of_complex_numbers() -> None:
    c, theta = SIZES.head_dim, 10000.0
    x, positions = noise(2, 3, 5, c), torch.tensor([[0, 1, 2, 3, 4], [7, 100, 4000, 0, 9]])
    turned = rotate(x, rotary_table(positions, c, theta))
    numbers = torch.complex(x[..., : c // 2].double(), x[..., c // 2 :].double())
    speeds = theta ** -(torch.arange(c // 2).double() * 2 / c)
    angles = positions[:, None, :, None] * speeds
    expected = numbers * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(
        turned, torch.cat([expected.real, expected.imag], -1).float(), rtol=1e-3, atol=1e-3
    )
    assert torch.equal(turned[0, :, 0], x[0, :, 0])


def test_scores_depend_on_distance_alone() -> None:
    q, k = noise(1, 1, 1, SIZES.head_dim), noise(1, 1, 1, SIZES.head_dim, seed=1)

    def score(query: int, key: int) -> Tensor:
        tables = (rotary_table(torch.tensor([[place]]), SIZES.head_dim, 10000.0) for place in (query, key))
        return (rotate(q, next(tables)) * rotate(k, next(tables))).sum()

    for far in (1, 50, 1000):
        torch.testing.assert_close(score(9 + far, 4 + far), score(9, 4), rtol=1e-3, atol=1e-3)
    assert (score(9, 4) - score(4, 9)).abs() > 1e-3


def test_positions_are_relative(model: OCR) -> None:
    x = model.embed(torch.tensor([ROWS[0]]), ())
    positions = torch.arange(7)[None]
    here, there = model.decoder(x, positions), model.decoder(x, positions + 100)
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(here, model.decoder(x, positions * 2), atol=1e-2)


def test_shared_key_heads_equal_repeated_ones() -> None:
    few = fill(Decoder(replace(SIZES, num_key_value_heads=2)))
    many = Decoder(SIZES).eval().requires_grad_(False)
    weights = few.state_dict()
    for name, tensor in weights.items():
        if "k_proj" in name or "v_proj" in name:
            heads = tensor.view(2, SIZES.head_dim, SIZES.hidden_size).repeat_interleave(2, dim=0)
            weights[name] = heads.reshape(-1, SIZES.hidden_size)
    many.load_state_dict(weights)
    x, positions = noise(2, 6, SIZES.hidden_size), torch.arange(6).expand(2, 6)
    torch.testing.assert_close(few(x, positions), many(x, positions))


@pytest.mark.parametrize("dense", [0, 1, 3])
def test_the_first_layers_are_dense(dense: int) -> None:
    layers = Decoder(replace(SIZES, first_k_dense_replace=dense)).layers
    assert [hasattr(layer.mlp, "experts") for layer in layers] == [index >= dense for index in range(3)]


def test_logits_are_fp32_whatever_the_weights(model: OCR) -> None:
    decoder = fill(Decoder(SIZES)).bfloat16()
    hidden = decoder(noise(1, 4, SIZES.hidden_size).bfloat16(), torch.arange(4)[None])
    assert (hidden.dtype, decoder.logits(hidden).dtype) == (torch.bfloat16, torch.float32)


def test_vision_tokens_take_the_places_of_image_tokens(model: OCR) -> None:
    image = CONFIG.image_token_id
    ids = torch.tensor([[5, image, image, 6], [image, 7, 8, 9]])
    vision = [noise(2, SIZES.hidden_size), noise(1, SIZES.hidden_size, seed=1)]
    x, plain = model.embed(ids, vision), model.decoder.embed_tokens(ids)
    assert torch.equal(x[0, 1:3], vision[0]) and torch.equal(x[1, 0], vision[1][0])
    assert torch.equal(x[ids != image], plain[ids != image])
    with pytest.raises(ValueError, match="3 image tokens in the prompts, 2 vision tokens"):
        model.embed(ids, vision[:1])
