"""What a layout costs, on paper: memory of a process of each stage, and the share of time that stages wait.

Counts of parameters are those of the real network; bytes of activations and operations are rules of thumb,
good for comparing layouts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from foveate.config import OCRConfig
from foveate.model import weights
from foveate.pages.mode import get_mode
from foveate.training.losses import ROWS
from foveate.training.parallel.pipeline import widths
from foveate.training.parallel.stages import VIEWS, Share, shares
from foveate.training.recipes import Recipe

FP32, BF16 = 4, 2
MOMENTS = 2 * FP32  # that AdamW keeps for a parameter
COMPRESSOR = ("model.sam_model.net_2.", "model.sam_model.net_3.")
UNUSED = "model.vision_model.embeddings.patch_embedding.weight"  # never trained: pixels come through SAM
TEXT = 800  # tokens of a page's answer, for rules of thumb
GIB = 1 << 30


@dataclass(frozen=True)
class Counts:
    """Parameters of one stage."""

    all: int
    trained: int
    experts: int  # of them, those of routed experts


@dataclass(frozen=True)
class Memory:
    """Bytes of one process."""

    weights: int  # fp32, whole while a step runs
    gradients: int
    optimiser: int
    copies: int  # of the weights in bf16, which autocast keeps while a micro-batch is on its way
    buffers: int  # what comes and goes through the pipe, for all micro-batches that a schedule takes
    activations: int  # layers' inputs of the micro-batches in flight, and one layer's insides

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimiser + self.copies + self.buffers + self.activations


@dataclass(frozen=True)
class Work:
    """Operations of a stage for one micro-batch."""

    forward: float
    backward: float  # with recomputing, where the recipe asks for it


def counts(config: OCRConfig, stages: int, frozen: Sequence[str] = ()) -> list[Counts]:
    """Parameters of each stage, all, trained and in experts."""
    parts = shares(config.decoder.num_hidden_layers, stages)
    rows = [[0, 0, 0] for _ in parts]
    for name, shape in weights.shapes(config).items():
        size = math.prod(shape)
        row = rows[next(index for index, part in enumerate(parts) if _has(part, name))]
        row[0] += size
        row[1] += size * (_part_of(name) not in frozen and name != UNUSED)
        row[2] += size * (".experts." in name)
    return [Counts(*row) for row in rows]


def _has(share: Share, name: str) -> bool:
    """Whether a stage has the tensor of that released name."""
    if name.startswith("model.layers."):
        return int(name.split(".")[2]) in share.layers
    if name.startswith("model.sam_model."):
        return share.sam
    if name.startswith("model.embed_tokens."):
        return share.embeds
    return share.last if name.startswith(("model.norm.", "lm_head.")) else share.clip


def _part_of(name: str) -> str:
    """The part, as `Recipe.frozen` calls it, that a released tensor belongs to."""
    if name.startswith("model.sam_model."):
        return "compressor" if name.startswith(COMPRESSOR) else "sam"
    if name.startswith("model.projector."):
        return "projector"
    return "clip" if name.startswith("model.vision_model.") else "decoder"


def memory(recipe: Recipe, mode: str = "base") -> list[Memory]:
    """Bytes of a process of each stage, layers recomputed, in bf16 autocast. The recipe has a network."""
    assert recipe.network is not None
    config, parallel, batches = recipe.network, recipe.parallel, recipe.batches
    parts = shares(config.decoder.num_hidden_layers, parallel.pipeline)
    sizes = widths(parts, config.clip.width, config.decoder.hidden_size)
    places = batches.micro * batches.sequence
    each = recipe.accumulation // parallel.data
    result = []
    for index, (part, count) in enumerate(
        zip(parts, counts(config, parallel.pipeline, recipe.frozen), strict=True)
    ):
        shared = count.experts - count.experts // parallel.experts  # held by others
        here, trained = count.all - shared, max(0, count.trained - shared)
        kept = trained // parallel.data if parallel.sharded else trained
        travelling = sizes[index - 1] * (index > 0) + sizes[index] * (index < len(parts) - 1)
        result.append(
            Memory(
                weights=here * FP32,
                gradients=trained * FP32,
                optimiser=kept * MOMENTS,
                copies=here * BF16,
                buffers=travelling * places * FP32 * (parallel.microbatches or each),
                activations=_activations(recipe, part, mode, min(each, len(parts) - index)),
            )
        )
    return result


def _activations(recipe: Recipe, part: Share, mode: str, flying: int) -> int:
    """Inputs of trained layers for each micro-batch in flight, and the insides of the largest layer."""
    assert recipe.network is not None
    config, places = recipe.network, recipe.batches.micro * recipe.batches.sequence
    sam, clip, decoder = config.sam, config.clip, config.decoder
    views, side = recipe.batches.micro * pages_of(recipe.batches.sequence, mode), get_mode(mode).side
    patches, tokens = views * (side // sam.patch_size) ** 2, views * ((side // 64) ** 2 + 1)
    kept = len(part.layers) * places * decoder.hidden_size
    kept += part.clip * clip.layers * tokens * clip.width
    kept += part.sam * ("sam" not in recipe.frozen) * sam.layers * patches * sam.width
    chosen = places * decoder.num_experts_per_tok
    insides = [
        # Queries, keys and values, the wide middle of the perceptron, and what goes in and out.
        part.sam * min(patches, VIEWS * patches // max(1, views)) * 9 * sam.width * FP32,
        # Tokens sorted by expert, the two products and what lies between; forward and gradient.
        bool(part.layers) * 2 * BF16 * chosen * (2 * decoder.hidden_size + 4 * decoder.moe_intermediate_size),
        part.last * ROWS * decoder.vocab_size * (2 * FP32 + BF16),
    ]
    return kept * FP32 * flying + max(insides)


def pages_of(sequence: int, mode: str, text: int = TEXT) -> int:
    """Pages of a mode without tiles in a row, so many text tokens on each."""
    return sequence // (vision_tokens(mode) + text)


def vision_tokens(mode: str) -> int:
    """Of one page, with the marks at the rows' ends and behind the view."""
    side = get_mode(mode).side // 64
    return side * (side + 1) + 1


def work(recipe: Recipe, mode: str = "base", text: int = TEXT) -> list[Work]:
    """Operations of each stage for one row full of pages of a mode without tiles. The recipe has a
    network."""
    assert recipe.network is not None
    config, frozen, side = recipe.network, recipe.frozen, get_mode(mode).side
    pages = pages_of(recipe.batches.sequence, mode, text)
    learned = text / (vision_tokens(mode) + text)
    parts = shares(config.decoder.num_hidden_layers, recipe.parallel.pipeline)
    result = []
    for part in parts:
        sam = pages * _sam(config, side) * part.sam
        clip = pages * _clip(config, side) * part.clip
        decoder = _decoder(config, part, recipe.batches.sequence, learned)
        again = 3.0 if recipe.recompute else 2.0
        learns_sam = not {"sam", "compressor"} <= set(frozen)
        result.append(Work(sam + clip + decoder, again * (sam * learns_sam + clip + decoder)))
    return result


def _sam(config: OCRConfig, side: int) -> float:
    sam = config.sam
    patches, window = (side // sam.patch_size) ** 2, sam.window_size**2
    padded = (-(-(side // sam.patch_size) // sam.window_size) * sam.window_size) ** 2
    wide = len(sam.global_attn_indexes)
    linear = 2 * 12 * sam.width**2 * sam.layers * patches
    return linear + 4 * sam.width * (wide * patches**2 + (sam.layers - wide) * padded * window)


def _clip(config: OCRConfig, side: int) -> float:
    clip, tokens = config.clip, (side // 64) ** 2 + 1
    linear = 2 * clip.layers * tokens * (4 * clip.width**2 + 2 * clip.width * clip.mlp_width)
    return linear + 4 * clip.width * clip.layers * tokens**2


def _decoder(config: OCRConfig, part: Share, places: int, learned: float) -> float:
    decoder = config.decoder
    width, total = decoder.hidden_size, 0.0
    for layer in part.layers:
        active = decoder.n_shared_experts + decoder.num_experts_per_tok
        dense = layer < decoder.first_k_dense_replace
        inner = decoder.intermediate_size if dense else active * decoder.moe_intermediate_size
        total += 2 * places * (4 * width**2 + 3 * width * inner) + 2 * width * places**2  # causal: half of 4
    return total + 2 * places * learned * width * decoder.vocab_size * part.last


def bubble(stages: int, batches: int) -> float:
    """The share of its time that each of some equal stages waits: (P - 1) / (M + P - 1)."""
    return (stages - 1) / (batches + stages - 1)


def idle(costs: Sequence[Work], batches: int) -> list[float]:
    """The share of its time that each stage waits in a step of 1F1B, when stages differ."""
    orders = [one_forward_one_backward(len(costs), stage, batches) for stage in range(len(costs))]
    ends: dict[tuple[str, int, int], float] = {}
    clocks, places = [0.0] * len(costs), [0] * len(costs)
    while any(place < 2 * batches for place in places):
        for stage, order in enumerate(orders):
            while places[stage] < 2 * batches:
                kind, number = order[places[stage]]
                needed = _needs(kind, stage, number, len(costs))
                if needed is not None and needed not in ends:
                    break
                begin = max(clocks[stage], ends.get(needed, 0.0) if needed else 0.0)
                clocks[stage] = begin + (costs[stage].forward if kind == "F" else costs[stage].backward)
                ends[kind, stage, number] = clocks[stage]
                places[stage] += 1
    over = max(clocks)
    return [1 - batches * (cost.forward + cost.backward) / over for cost in costs]


def one_forward_one_backward(stages: int, stage: int, batches: int) -> list[tuple[str, int]]:
    """What a stage does, in order: some forward passes, then one backward and one forward in turn."""
    ahead = min(batches, stages - stage)
    order = [("F", number) for number in range(ahead)]
    for number in range(batches):
        order.append(("B", number))
        if ahead + number < batches:
            order.append(("F", ahead + number))
    return order


def _needs(kind: str, stage: int, number: int, stages: int) -> tuple[str, int, int] | None:
    """What has to be over before: the same batch's pass in the neighbouring stage."""
    if kind == "F":
        return ("F", stage - 1, number) if stage else None
    return ("B", stage + 1, number) if stage < stages - 1 else ("F", stage, number)


def report(recipe: Recipe, mode: str = "base") -> str:
    """The costs of a recipe's layout as a Markdown table."""
    assert recipe.network is not None
    parallel = recipe.parallel
    each = recipe.accumulation // parallel.data
    waits = idle(work(recipe, mode), each)
    lines = [
        "| stage | parameters | trained | weights | gradients | AdamW | bf16 copies | buffers | activations "
        "| total GiB | waits |",
        "|" + "---|" * 11,
    ]
    numbers = counts(recipe.network, parallel.pipeline, recipe.frozen)
    for stage, (count, used, wait) in enumerate(zip(numbers, memory(recipe), waits, strict=True), start=1):
        parts = (used.weights, used.gradients, used.optimiser, used.copies, used.buffers, used.activations)
        cells = [f"{part / GIB:.1f}" for part in (*parts, used.total)]
        lines.append(
            f"| {stage} | {count.all / 1e6:,.0f} M | {count.trained / 1e6:,.0f} M | "
            + " | ".join(cells)
            + f" | {wait:.0%} |"
        )
    return "\n".join(lines) + "\n"
