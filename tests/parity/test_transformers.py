"""The network against the one in `transformers` (`unlimited_ocr`): random weights, tiny sizes, fp32.

`transformers` reads the folder that we save and renames the released tensors by its own rules. Its window
reaches over everything here, save where a test is about the window; there, only its cached steps show the
window, since it takes a sequence that goes through in one pass for a prompt.

B sequences · T tokens of the longest prompt · N generated tokens · V vocabulary
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from foveate.config import OCRConfig
from foveate.engine.cache import Cache
from foveate.engine.sampling import banned_tokens
from foveate.model import weights
from foveate.model.ocr import OCR
from foveate.pages.mode import Mode, get_mode
from foveate.pages.views import PageViews
from tests.tiny import CONFIG, distance, network, views, with_decoder

transformers = pytest.importorskip("transformers")
pytest.importorskip("transformers.models.unlimited_ocr", exc_type=ImportError)

TOLERANCE = 1e-5  # relative
PADDING = 7  # an id like any other, so that a padding token that is seen does harm
WINDOW = 5
ENDLESS = 1 << 16  # a window that nothing here outgrows
MINI = Mode("mini", 256, tile=128)  # 4 x 4 tokens, tiles of 2 x 2: every shape of a real mode for little work
MINI_SIZES = ((700, 1000), (600, 400), (1200, 500))  # 2 x 3 tiles, none, 5 x 2
SIZES = {
    "tiny": ((1000, 1400), (700, 500)),
    "small": ((500, 300), (900, 1300)),
    "base": ((1000, 1400), (700, 500)),
    "large": ((1300, 900),),
    "gundam": ((1000, 1500), (600, 400)),  # 2 x 3 tiles, none
    "gundam-m": ((2000, 1000),),  # 2 x 1
}


def their_config(config: OCRConfig, window: int) -> Any:
    sam, clip, decoder = config.sam, config.clip, config.decoder
    return transformers.UnlimitedOcrConfig(
        image_token_id=config.image_token_id,
        vision_config={
            "sam_config": {
                "hidden_size": sam.width,
                "output_channels": sam.neck_channels,
                "num_hidden_layers": sam.layers,
                "num_attention_heads": sam.heads,
                "image_size": sam.image_size,
                "patch_size": sam.patch_size,
                "window_size": sam.window_size,
                "global_attn_indexes": list(sam.global_attn_indexes),
                "mlp_dim": 4 * sam.width,
                "downsample_channels": list(sam.downsample_channels),
            },
            "encoder_config": {
                "hidden_size": clip.width,
                "intermediate_size": clip.mlp_width,
                "num_hidden_layers": clip.layers,
                "num_attention_heads": clip.heads,
                "image_size": clip.image_size,
                "patch_size": clip.patch_size,
            },
        },
        text_config={
            "vocab_size": decoder.vocab_size,
            "hidden_size": decoder.hidden_size,
            "intermediate_size": decoder.intermediate_size,
            "num_hidden_layers": decoder.num_hidden_layers,
            "num_attention_heads": decoder.num_attention_heads,
            "num_key_value_heads": decoder.num_key_value_heads,
            "first_k_dense_replace": decoder.first_k_dense_replace,
            "n_routed_experts": decoder.n_routed_experts,
            "num_experts_per_tok": decoder.num_experts_per_tok,
            "moe_intermediate_size": decoder.moe_intermediate_size,
            "n_shared_experts": decoder.n_shared_experts,
            "sliding_window": window,
            "eos_token_id": None,  # a continuation goes on to its length
        },
    )


def load_theirs(folder: Path, window: int, attention: dict[str, str] | str) -> tuple[Any, dict[str, Any]]:
    """Their network, and what they say about the tensors that they found."""
    model, found = transformers.UnlimitedOcrForConditionalGeneration.from_pretrained(
        folder,
        config=their_config(CONFIG, window),
        dtype=torch.float32,
        attn_implementation=attention,
        output_loading_info=True,
    )
    return model.eval().requires_grad_(False), found


@pytest.fixture(scope="module")
def ours() -> OCR:
    return network()


@pytest.fixture(scope="module")
def ours_windowed() -> OCR:
    return network(with_decoder(sliding_window=WINDOW))


@pytest.fixture(scope="module")
def folder(ours: OCR, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our weights under the released names."""
    path = tmp_path_factory.mktemp("checkpoint")
    weights.save(ours, path)
    return path


# Their plain attention would take minutes and gigabytes on SAM's 6,400 patches; one test lets it.
ATTENTION = {"": "eager", "vision_config": "sdpa", "text_config": "eager"}


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return load_theirs(folder, ENDLESS, ATTENTION)[0]


@pytest.fixture(scope="module")
def theirs_windowed(folder: Path) -> Any:
    return load_theirs(folder, WINDOW, ATTENTION)[0]


@dataclass(frozen=True)
class Prompt:
    """A page, and the ids that ask about it."""

    page: PageViews
    ids: list[int]


def prompts(mode: Mode, sizes: Sequence[tuple[int, int]]) -> list[Prompt]:
    """A prompt for each size: the page's place and a text of its own length."""
    made = []
    for seed, (width, height) in enumerate(sizes):
        generator = torch.Generator().manual_seed(seed)
        text = torch.randint(3, CONFIG.decoder.vocab_size, (4 + 3 * seed,), generator=generator).tolist()
        image = [CONFIG.image_token_id] * mode.layout(width, height).sequence_length
        made.append(Prompt(views(width, height, mode, seed), [0, *text[:2], *image, *text[2:]]))
    return made


def pad(rows: Sequence[Sequence[int]], side: str) -> tuple[Tensor, Tensor]:
    """Ids (B, T), and the mask (B, T) that is 0 on padding."""
    longest = max(len(row) for row in rows)
    ids, mask = torch.full((len(rows), longest), PADDING), torch.zeros(len(rows), longest, dtype=torch.long)
    for row, numbers in enumerate(rows):
        place = slice(0, len(numbers)) if side == "right" else slice(longest - len(numbers), longest)
        ids[row, place], mask[row, place] = torch.tensor(numbers), 1
    return ids, mask


def their_images(pages: Sequence[PageViews]) -> dict[str, Any]:
    tiles = [page.tiles for page in pages if page.tiles is not None]
    return {
        "pixel_values": torch.stack([page.whole for page in pages]),
        "pixel_values_local": torch.cat(tiles) if tiles else None,
        "num_local_patches": [0 if page.tiles is None else len(page.tiles) for page in pages],
        "patches_grid": [list(page.grid) for page in pages],
    }


@dataclass(frozen=True)
class Continuation:
    """What a network says to prompts, row by row."""

    vision: list[Tensor]  # (tokens, D)
    prompt_logits: list[Tensor]  # (the row's tokens, V)
    step_logits: Tensor  # (B, N, V): after the prompt, then after each token but the last
    tokens: Tensor  # (B, N)


@torch.inference_mode()
def their_continuation(model: Any, asked: Sequence[Prompt], count: int) -> Continuation:
    """One left-padded batch, greedily, a token at a time through their cache."""
    ids, mask = pad([prompt.ids for prompt in asked], "left")
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    images = their_images([prompt.page for prompt in asked])
    out = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, **images)
    vision, prompt_logits = (
        out.image_hidden_states,
        [row[kept.bool()] for row, kept in zip(out.logits, mask, strict=True)],
    )
    steps, tokens, position = [out.logits[:, -1]], [out.logits[:, -1].argmax(-1)], positions[:, -1:]
    while len(steps) < count:
        mask, position = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1), position + 1
        out = model(
            input_ids=tokens[-1][:, None],
            attention_mask=mask,
            position_ids=position,
            past_key_values=out.past_key_values,
            use_cache=True,
        )
        steps.append(out.logits[:, -1])
        tokens.append(steps[-1].argmax(-1))
    return Continuation(vision, prompt_logits, torch.stack(steps, 1), torch.stack(tokens, 1))


@torch.inference_mode()
def our_continuation(model: OCR, asked: Sequence[Prompt], count: int) -> Continuation:
    """One batch, greedily, a token at a time through the engine's cache."""
    lengths = torch.tensor([len(prompt.ids) for prompt in asked])
    ids, _ = pad([prompt.ids for prompt in asked], "right")
    vision = model.encode([prompt.page for prompt in asked])
    cache = Cache(model.config.decoder, len(asked), torch.float32, "cpu")
    step = cache.prefill(lengths)
    hidden = model.decoder(
        model.embed(ids, vision), torch.arange(ids.shape[1]).expand_as(ids), step.mask, step
    )
    logits = model.decoder.logits(hidden)
    prompt_logits = [row[:length] for row, length in zip(logits, lengths, strict=True)]
    steps = [logits[torch.arange(len(asked)), lengths - 1]]
    tokens = [steps[0].argmax(-1)]
    while len(steps) < count:
        position, step = cache.lengths[:, None], cache.decode()
        hidden = model.decoder(model.embed(tokens[-1][:, None], ()), position, step.mask, step)
        steps.append(model.decoder.logits(hidden[:, -1]))
        tokens.append(steps[-1].argmax(-1))
    return Continuation(vision, prompt_logits, torch.stack(steps, 1), torch.stack(tokens, 1))


@torch.inference_mode()
def our_uncached(model: OCR, asked: Sequence[Prompt], tokens: Tensor, side: str) -> Tensor:
    """The logits (B, N, V) before each of these tokens (B, N): everything in one pass, without a cache."""
    rows = [[*prompt.ids, *row[:-1]] for prompt, row in zip(asked, tokens.tolist(), strict=True)]
    ids, mask = pad(rows, side)
    padding = (mask.shape[1] - mask.sum(1)) * (side == "left")
    starts = padding + torch.tensor([len(prompt.ids) for prompt in asked])
    logits = model(ids, [prompt.page for prompt in asked], mask, starts)
    return torch.stack(
        [
            row[start - 1 : start - 1 + tokens.shape[1]]
            for row, start in zip(logits, starts.tolist(), strict=True)
        ]
    )


def assert_same(mine: Continuation, reference: Continuation) -> None:
    for row, (vision, wanted) in enumerate(zip(mine.vision, reference.vision, strict=True)):
        assert vision.shape == wanted.shape
        assert distance(vision, wanted) < TOLERANCE, f"vision tokens of page {row}"
    for row, (logits, wanted) in enumerate(zip(mine.prompt_logits, reference.prompt_logits, strict=True)):
        assert distance(logits, wanted) < TOLERANCE, f"logits of prompt {row}"
    assert distance(mine.step_logits, reference.step_logits) < TOLERANCE
    assert mine.tokens.tolist() == reference.tokens.tolist()


def test_they_find_every_tensor_by_its_released_name(folder: Path) -> None:
    _, found = load_theirs(folder, ENDLESS, ATTENTION)
    assert not any(found.values()), found


@pytest.mark.parametrize("name", SIZES)
def test_every_mode(name: str, ours: OCR, theirs: Any) -> None:
    asked = prompts(get_mode(name), SIZES[name])
    reference = their_continuation(theirs, asked, count=4)
    assert_same(our_continuation(ours, asked, count=4), reference)


def test_their_plain_attention_agrees(ours: OCR, folder: Path) -> None:
    theirs, _ = load_theirs(folder, ENDLESS, "eager")
    asked = prompts(MINI, MINI_SIZES)
    assert_same(our_continuation(ours, asked, count=2), their_continuation(theirs, asked, count=2))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_batch_equals_single_pages(side: str, ours: OCR, theirs: Any) -> None:
    asked = prompts(MINI, MINI_SIZES)
    ids, mask = pad([prompt.ids for prompt in asked], side)
    with torch.inference_mode():
        batched = ours(ids, [prompt.page for prompt in asked], mask)
        for row, prompt in enumerate(asked):
            alone = torch.tensor([prompt.ids])
            reference = theirs(input_ids=alone, use_cache=False, **their_images([prompt.page])).logits[0]
            assert distance(batched[row][mask[row].bool()], reference) < TOLERANCE
            assert distance(ours(alone, [prompt.page])[0], reference) < TOLERANCE


def test_the_window_slides_over_generated_tokens_alone(
    ours: OCR, ours_windowed: OCR, theirs_windowed: Any
) -> None:
    asked, count = prompts(MINI, MINI_SIZES), 3 * WINDOW + 2
    # One at a time: in 5.23 the padding of their batch is out of place as soon as the window slides.
    alone = [their_continuation(theirs_windowed, [prompt], count) for prompt in asked]
    reference = Continuation(
        [one.vision[0] for one in alone],
        [one.prompt_logits[0] for one in alone],
        torch.cat([one.step_logits for one in alone]),
        torch.cat([one.tokens for one in alone]),
    )
    assert_same(our_continuation(ours_windowed, asked, count), reference)
    for side in ("left", "right"):
        uncached = our_uncached(ours_windowed, asked, reference.tokens, side)
        assert distance(uncached, reference.step_logits) < TOLERANCE
    # The window is felt as soon as it leaves a generated token behind, and no sooner.
    unlimited = our_uncached(ours, asked, reference.tokens, "right")
    assert distance(unlimited[:, : WINDOW + 1], reference.step_logits[:, : WINDOW + 1]) < TOLERANCE
    assert distance(unlimited[:, WINDOW + 1], reference.step_logits[:, WINDOW + 1]) > 1000 * TOLERANCE


def test_their_generate_writes_the_same(ours: OCR, theirs: Any) -> None:
    asked, count = prompts(MINI, MINI_SIZES), 3 * WINDOW
    ids, mask = pad([prompt.ids for prompt in asked], "left")
    mine = our_continuation(ours, asked, count).tokens
    assert mine.tolist() == generated(theirs, ids, mask, asked, count)
    assert our_uncached(ours, asked, mine, "left").argmax(-1).tolist() == mine.tolist()


def test_their_generate_with_a_window_writes_the_same(ours_windowed: OCR, theirs_windowed: Any) -> None:
    asked, count = prompts(MINI, MINI_SIZES), 3 * WINDOW
    mine = our_continuation(ours_windowed, asked, count).tokens
    for row, prompt in enumerate(asked):
        ids, mask = pad([prompt.ids], "left")
        assert mine[row : row + 1].tolist() == generated(theirs_windowed, ids, mask, [prompt], count)


def generated(model: Any, ids: Tensor, mask: Tensor, asked: Sequence[Prompt], count: int) -> list[list[int]]:
    """What their own loop writes, greedily."""
    images = their_images([prompt.page for prompt in asked])
    how = {"do_sample": False, "max_new_tokens": count, "pad_token_id": PADDING}
    rows: list[list[int]] = model.generate(input_ids=ids, attention_mask=mask, **how, **images).tolist()
    return [row[ids.shape[1] :] for row in rows]


@pytest.mark.parametrize(("size", "window"), [(2, 6), (3, 9), (3, 40), (5, 4), (8, 8)])
def test_the_guard_bans_the_same_tokens(size: int, window: int) -> None:
    """On generated tokens alone, as the released guard looks at them; theirs is handed the prompt as well."""
    from transformers.models.unlimited_ocr.generation_unlimited_ocr import (
        UnlimitedOcrSlidingWindowNoRepeatNgramLogitsProcessor as TheirGuard,
    )

    guard, banned = TheirGuard(ngram_size=size, window_size=window), 0
    ids = torch.randint(0, 3, (60,), generator=torch.Generator().manual_seed(size)).tolist()
    for length in range(len(ids)):
        scores = guard(torch.tensor([ids[:length]], dtype=torch.long), torch.zeros(1, 3))
        expected = set(scores[0].isinf().nonzero()[:, 0].tolist())
        assert banned_tokens(ids[:length], size, window) == expected
        banned += len(expected)
    assert banned or window <= size
