"""Train the embedded `nano` network on pages drawn as it goes.

    python scripts/nano/train.py --run runs/nano                  # start, or go on where it stopped
    python scripts/nano/train.py --run runs/nano --export src/foveate/assets/nano
    python scripts/nano/train.py --run runs/more --start src/foveate/assets/nano --set letters.steps=0

What makes it learn in hours on two cores is that every glyph has a known place. Four helps are thrown away at
the end: a head names the characters of each 16-pixel patch from SAM's features, another those of each vision
token's 4 x 4 patches from the token alone, a third spells the next token from the decoder's last hidden
state, and one attention head of each later decoder layer is shown which vision token holds the text it is
about to write. The loss that stays is the next token's.

B pages · S side in pixels · T tokens · D the decoder's width · K characters that a patch can name
"""

import argparse
import json
import math
import multiprocessing as mp
import os
import queue
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
import torch.multiprocessing
import torch.nn.functional as F
from draw import Drawn, draw, patch_targets
from text import ALPHABET, TextSource, mark_up
from torch import Tensor, nn

from foveate.config import ClipConfig, DecoderConfig, OCRConfig, SamConfig
from foveate.model import weights
from foveate.model.attention import rotate
from foveate.model.experts import Router
from foveate.model.ocr import OCR
from foveate.pages.mode import CELL
from foveate.pages.prompts import PROMPTS
from foveate.pages.tokenizer import TOKENIZER_NAME, Tokenizer

ASSETS = Path(__file__).parents[2] / "src" / "foveate" / "assets" / "nano"
PATCH, SLOTS, PER_CELL = 16, 3, 16
SPELLED = 6  # characters of the next token that are spelled
OTHER = len(ALPHABET) + 1  # a space, in a spelling
NUMBER = {character: number + 1 for number, character in enumerate(ALPHABET)}
CELLS_PER_TOKEN = 4  # vision tokens that one text token may lie in
IGNORE = -100


@dataclass(frozen=True)
class Phase:
    """A stretch of the course. Sizes in pixels."""

    name: str
    steps: int
    sides: tuple[int, ...]  # of the square page; batches of one side
    type_sizes: tuple[int, int]  # em heights, from and to
    patches: int  # 16-pixel patches in a batch, whatever its side
    characters: float = 600  # most on a page of side 512
    leading: tuple[float, float] = (1.1, 1.9)  # line height in type sizes
    made_up: float = 0.25  # share of text that means nothing
    longest: int = 1000  # tokens of an answer
    short: float = 0.35  # share of pages with a few words alone
    grounding: float = 0.0  # share of answers with boxes
    markdown: float = 0.0  # share of the others that are asked for as Markdown, the rest as text
    learning_rate: float = 1e-3
    frozen: bool = False  # SAM and the compressor, as in the paper's second stage
    replay: int = 1  # while frozen: pages in a step for each new one, the others drawn in earlier steps
    decay: bool = False  # to zero over the phase
    patch_weight: float = 1.0
    cell_weight: float = 1.0
    guide_weight: float = 1.0
    spell_weight: float = 1.0


COURSE = (
    Phase("letters", 1120, (256,), (22, 44), 12288),
    Phase("words", 300, (256,), (36, 64), 12288),
    Phase("lines", 300, (256,), (40, 72), 16384, frozen=True),
    Phase("paragraphs", 345, (256, 384, 512), (36, 72), 8192, short=0.2, frozen=True, replay=6),
    Phase("pages", 140, (512, 512, 640), (36, 72), 8192, short=0.1, markdown=0.5, frozen=True, replay=6),
    Phase(
        "tiny", 300, (512,), (38, 72), 6144, short=0.15, markdown=0.5, frozen=True, replay=9, cell_weight=0
    ),
    Phase(
        "large print",
        150,
        (512,),
        (46, 72),
        12288,
        made_up=0.1,
        longest=40,
        short=0.15,
        markdown=0.5,
        frozen=True,
        replay=9,
        cell_weight=0,
    ),
    Phase(
        "fresh pages",
        230,
        (512,),
        (48, 72),
        49152,
        made_up=0.05,
        longest=32,
        short=0.1,
        markdown=0.5,
        frozen=True,
        replay=2,
        decay=True,
        cell_weight=0,
    ),
)


def nano_config(tokenizer: Tokenizer) -> OCRConfig:
    """The same classes as the released network, about a three-hundredth of its size."""
    return OCRConfig(
        sam=SamConfig(
            width=192,
            layers=4,
            heads=3,
            global_attn_indexes=(2,),
            downsample_channels=(192, 256),
            window_size=8,
            neck_channels=128,
        ),
        clip=ClipConfig(width=256, layers=4, heads=4, image_size=16, patch_size=1, mlp_width=1024),
        decoder=DecoderConfig(
            hidden_size=256,
            num_hidden_layers=5,
            num_attention_heads=4,
            num_key_value_heads=4,
            intermediate_size=768,
            moe_intermediate_size=128,
            n_routed_experts=8,
            num_experts_per_tok=2,
            n_shared_experts=1,
            vocab_size=-(-len(tokenizer) // 16) * 16,
            max_position_embeddings=4096,
            bos_token_id=tokenizer.bos,
            eos_token_id=tokenizer.eos,
        ),
        image_token_id=tokenizer.image,
    )


def initialise(model: OCR, tokenizer: Tokenizer) -> None:
    """Scaled normal weights, as for a network of this depth without a released start."""
    depth = model.config.decoder.num_hidden_layers
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            if "newline" in name or "separator" in name or "class_embedding" in name:
                nn.init.normal_(parameter, std=0.02)
            continue
        fan_in = parameter.shape[-1] if "experts" in name else parameter[0].numel()
        std = 0.02 if "pos" in name or "embed" in name else fan_in**-0.5
        if name.endswith(
            (".attn.proj.weight", "out_proj.weight", "o_proj.weight", "down_proj", "down_proj.weight")
        ):
            std /= math.sqrt(2 * depth)
        if name.endswith(("lin2.weight", "fc2.weight")):
            std /= math.sqrt(2 * depth)
        nn.init.normal_(parameter, std=std)
    for weight in (model.decoder.embed_tokens.weight, model.decoder.lm_head.weight):
        spellings = spelt(tokenizer, weight.shape[1])
        nn.init.normal_(weight, std=0.02)
        weight.data[: len(spellings)] += 0.04 * spellings
    for layer, block in enumerate(model.encoder.sam.blocks):
        look_around(block.attn, layer)


def spelt(tokenizer: Tokenizer, width: int, characters: int = 6) -> Tensor:
    """A random vector for each piece of the vocabulary that says how it is spelt, (pieces, D), unit variance.

    Pieces with letters in common start out alike, so what is learnt of one, to find it on the page or to
    write it, serves the others. Each of the first and the last characters adds a vector of its own, and one
    for its lower case.
    """
    vectors: dict[tuple[int, str], Tensor] = {}
    rows = []
    for token in range(len(tokenizer)):
        text = tokenizer.decode([token])
        marks = list(enumerate(text[:characters])) + [(-1 - i, c) for i, c in enumerate(text[::-1][:3])]
        marks += [(i + 100, c.lower()) for i, c in marks]
        for mark in marks:
            if mark not in vectors:
                vectors[mark] = torch.randn(width)
        row = torch.stack([vectors[mark] for mark in marks]).sum(0) if marks else torch.randn(width)
        rows.append(F.normalize(row, dim=0) * width**0.5)
    return torch.stack(rows)


def look_around(attention: nn.Module, layer: int) -> None:
    """Starts each head as a glance at one neighbouring patch, as a convolution's taps do (ConViT, arXiv
    2103.10697).

    The query's bias is a vector u and the relative positions are multiples of it, so that q . R is a hill
    around the neighbour whatever the content; training is free to move it. A letter straddles patches, and
    finding its other half is what a transformer from scratch takes longest to learn.
    """
    neighbours = [(0, -1), (0, 1), (-1, 0), (1, 0), (0, 0)]  # down, right
    heads, width = attention.heads, attention.head_dim
    for head in range(heads):
        down, right = neighbours[(layer * heads + head) % len(neighbours)]
        u = F.normalize(torch.randn(width), dim=0) * 4
        attention.qkv.bias.data[head * width : (head + 1) * width] = u
        for table, offset in ((attention.rel_pos_h, down), (attention.rel_pos_w, right)):
            distance = (
                torch.arange(len(table)) - len(table) // 2 + offset
            )  # query minus key, from the neighbour
            hill = -(distance.float() ** 2).clamp(max=6)
            table.data += hill[:, None] * u[None] / u.square().sum()


# --- batches: what a drawing process makes
# -------------------------------------------------------------------------


Row = tuple[list[int], list[int], list[list[int]], list[list[int]]]  # ids, labels, guides, spellings


@dataclass
class Batch:
    pixels: Tensor  # (B, S, S) uint8, or in a replay the compressor's features (B, C, S / 64, S / 64)
    ids: Tensor  # (B, T) int64, image tokens included
    labels: Tensor  # (B, T) the next token, IGNORE where none is asked for
    spelling: Tensor  # (B, T, SPELLED) characters of the next token, OTHER for a space, 0 for none
    guide: Tensor  # (B, T, CELLS_PER_TOKEN) places of the vision tokens that hold its text, or -1
    patches: Tensor  # (B, S / 16, S / 16, SLOTS) characters + 1, 0 for none
    phase: int
    step: int


def answer(page: Drawn, grounding: bool, side: int) -> tuple[str, list[int]]:
    """The text to write, and for each of its characters the one of `page.text` that it repeats, or -1."""
    if not grounding:
        return page.text, list(range(len(page.text)))
    text, origin = "", []
    start = 0
    for block in page.text.split("\n\n"):
        end = start + len(block)
        boxes = [box for first, last, box in page.lines if first < end and last > start]
        if boxes:
            left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
            right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
            box = [min(999, max(0, round(value / side * 999))) for value in (left, top, right, bottom)]
            kind = "title" if block.startswith("# ") else "text"
            head = ("\n\n" if text else "") + f"<|ref|>{kind}<|/ref|><|det|>[{box}]<|/det|>\n"
            text += head + block
            origin += [-1] * len(head) + list(range(start, end))
        start = end + 2
    return text, origin


def sample(page: Drawn, tokenizer: Tokenizer, prompt: str, grounding: bool, side: int) -> Row:
    """Ids, labels, guides and spellings of one page."""
    columns = side // CELL
    start = tokenizer.encode_prompt(PROMPTS[prompt], columns * (columns + 1) + 1)
    text, origin = answer(page, grounding, side)
    encoded = tokenizer._inner.encode(text, add_special_tokens=False)
    place = {
        int(offset): 1 + int(y) // CELL * (columns + 1) + int(x) // CELL
        for offset, (_, x, y) in zip(page.char_offsets, page.chars, strict=True)
    }
    cells = []
    for first, last in encoded.offsets:
        found = dict.fromkeys(place[origin[i]] for i in range(first, last) if origin[i] in place)
        cells.append(list(found)[:CELLS_PER_TOKEN])
    ids = [*start, *encoded.ids]
    labels = [IGNORE] * (len(start) - 1) + encoded.ids + [tokenizer.eos]
    guides = [[] for _ in range(len(start) - 1)] + cells + [[]]
    spelled = [
        [NUMBER.get(character, OTHER) for character in text[first:last][:SPELLED]]
        for first, last in encoded.offsets
    ]
    return ids, labels, guides, [[] for _ in range(len(start) - 1)] + spelled + [[]]


def make_batch(
    source: TextSource,
    tokenizer: Tokenizer,
    seed: int,
    number: int,
    phase: Phase,
    step: int,
    share: tuple[int, int] = (0, 1),
) -> Batch:
    """One process's share of a batch, as (number, of so many): a function of the arguments alone."""
    side = int(np.random.default_rng((seed, number, step)).choice(phase.sides))
    rng = np.random.default_rng((seed, number, step, share[0]))
    count = max(1, phase.patches // share[1] // (side // PATCH) ** 2)
    images, rows, targets = [], [], []
    for _ in range(count):
        room = int(phase.characters * (side / 512) ** 2)
        characters = rng.integers(4, 30) if rng.random() < phase.short else int(room * rng.uniform(0.05, 1.0))
        grounding = bool(rng.random() < phase.grounding)
        prompt = "markdown" if grounding or rng.random() < phase.markdown else "text"
        page, row = one_page(rng, source, tokenizer, phase, side, int(characters), prompt, grounding)
        images.append(page.image)
        targets.append(patch_targets(page, PATCH, SLOTS))
        rows.append(row)
    length = -(-max(len(row[0]) for row in rows) // 16) * 16
    ids = np.full((count, length), tokenizer.eos, np.int64)
    labels = np.full((count, length), IGNORE, np.int64)
    guide = np.full((count, length, CELLS_PER_TOKEN), -1, np.int64)
    spelling = np.zeros((count, length, SPELLED), np.int64)
    for row, (row_ids, row_labels, row_guides, row_spellings) in enumerate(rows):
        ids[row, : len(row_ids)] = row_ids
        labels[row, : len(row_labels)] = row_labels
        for t, cells in enumerate(row_guides):
            guide[row, t, : len(cells)] = cells
        for t, characters in enumerate(row_spellings):
            spelling[row, t, : len(characters)] = characters
    arrays = (np.stack(images), ids, labels, spelling, guide, np.stack(targets).astype(np.int64))
    return Batch(*(torch.from_numpy(array) for array in arrays), phase=number, step=step)


def one_page(
    rng: np.random.Generator,
    source: TextSource,
    tokenizer: Tokenizer,
    phase: Phase,
    side: int,
    characters: int,
    prompt: str,
    grounding: bool,
) -> tuple[Drawn, Row]:
    """A page of about so many characters, fewer where its answer would be too long."""
    while True:
        text = source.sample(rng, max(4, characters), phase.made_up)
        text = mark_up(rng, text, headings=0.3, lists=0.15)
        page = draw(rng, text, side, side, sizes=phase.type_sizes, leading=phase.leading)
        row = sample(page, tokenizer, prompt, grounding, side)
        if sum(label != IGNORE for label in row[1]) <= phase.longest:
            return page, row
        characters //= 2


def drawing_process(
    out: Any,
    seed: int,
    corpus: str,
    cache: str,
    course: tuple[Phase, ...],
    start: tuple[int, int],
    share: tuple[int, int],
) -> None:
    """Draws one training process's batches of the course, from `start` (phase, step) on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    parent = os.getppid()
    source, tokenizer = TextSource(corpus, "train", cache), Tokenizer.load(ASSETS)
    for number, step in positions(course, start):
        batch = make_batch(source, tokenizer, seed, number, course[number], step, share)
        while True:
            try:
                out.put(batch, timeout=5)
                break
            except queue.Full:
                if os.getppid() != parent:  # the training process was killed
                    os._exit(1)
    while os.getppid() == parent:  # the last batches lie in memory that this process shares
        time.sleep(1)


def positions(course: tuple[Phase, ...], start: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for number, phase in enumerate(course):
        if number >= start[0]:
            yield from ((number, step) for step in range(start[1] if number == start[0] else 0, phase.steps))


# --- losses
# --------------------------------------------------------------------------------------------------------


class Teacher(nn.Module):
    """The network with its throw-away heads."""

    def __init__(self, model: OCR) -> None:
        super().__init__()
        self.model = model
        classes, config = len(ALPHABET) + 1, model.config
        self.patch_head = nn.Linear(config.sam.neck_channels, SLOTS * classes)
        self.spell_head = nn.Linear(config.decoder.hidden_size, SPELLED * (classes + 1))
        self.cell_head = nn.Linear(config.decoder.hidden_size, PER_CELL * SLOTS * classes)
        self.guided = [
            layer.self_attn for layer in model.decoder.layers[config.decoder.first_k_dense_replace :]
        ]

    def forward(self, batch: Batch, cells: bool = True) -> dict[str, Tensor]:
        """The losses by name, each a mean in nats, and two accuracies."""
        caught: dict[Any, tuple[Any, ...]] = {}
        hooks = [
            module.register_forward_hook(lambda m, i, o: caught.__setitem__(m, (i, o)))
            for module in self.watched()
        ]
        try:
            encoder = self.model.encoder
            replayed = batch.pixels.dtype is not torch.uint8
            local = batch.pixels if replayed else self.compress(batch.pixels)
            tokens = encoder.contextualise(local)
            pages = [encoder.arrange(page, None, (1, 1)) for page in tokens]
            x = self.model.embed(batch.ids, pages)
            places = torch.arange(batch.ids.shape[1])[None].expand_as(batch.ids)
            hidden = self.model.decoder(x, places)
        finally:
            for hook in hooks:
                hook.remove()
        asked = batch.labels != IGNORE
        logits = self.model.decoder.logits(hidden[asked])
        losses = {"text": F.cross_entropy(logits, batch.labels[asked])}
        losses["text_right"] = (logits.argmax(-1) == batch.labels[asked]).float().mean()
        spelled = self.spell_head(hidden[asked]).view(-1, len(ALPHABET) + 2).float()
        characters = batch.spelling[asked].flatten()
        losses["spell"] = F.cross_entropy(spelled, characters)
        losses["spell_right"] = (spelled.argmax(-1) == characters)[characters > 0].float().mean()
        if replayed:
            losses["patch"] = losses["patch_right"] = torch.zeros(())
        else:
            features = caught[encoder.sam][1].permute(0, 2, 3, 1)
            losses["patch"], losses["patch_right"] = self.name(self.patch_head, features, batch.patches)
        losses["cell"] = losses["cell_right"] = torch.zeros(())
        if cells:
            losses["cell"], losses["cell_right"] = self.name(self.cell_head, tokens, by_cell(batch.patches))
        # The first head finds what comes next, the second what has just been written.
        behind = torch.cat([torch.full_like(batch.guide[:, :1], -1), batch.guide[:, :-1]], dim=1)
        for name, head, cells in (("guide", 0, batch.guide), ("behind", 1, behind)):
            looked = [guide_loss(module, caught[module][0], head, cells) for module in self.guided]
            losses[name] = torch.stack(looked).mean()
        losses["balance"] = torch.stack(
            [balance(caught[m][1]) for m in self.model.modules() if isinstance(m, Router)]
        ).mean()
        return losses

    def compress(self, pixels: Tensor) -> Tensor:
        """Grey pages (B, S, S) uint8 to the compressor's features (B, C, S / 64, S / 64)."""
        encoder = self.model.encoder
        grey = pixels[:, None].float().div(127.5).sub(1)
        return encoder.compressor(encoder.sam(grey.expand(-1, 3, -1, -1)))

    def watched(self) -> list[nn.Module]:
        routers = [module for module in self.model.modules() if isinstance(module, Router)]
        return [self.model.encoder.sam, *self.guided, *routers]

    def name(self, head: nn.Linear, features: Tensor, characters: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of naming `characters` from `features`, and the share of drawn ones that are named right.

        All drawn characters count and as many empty slots, drawn by lot, at a quarter of the weight.
        """
        scores = head(features).reshape(-1, len(ALPHABET) + 1)
        wanted = characters.reshape(-1)
        drawn = wanted > 0
        chosen = drawn | (torch.rand(wanted.shape) < drawn.float().mean())
        scores, wanted = scores[chosen].float(), wanted[chosen]
        weight = torch.where(wanted > 0, 1.0, 0.25)
        loss = F.cross_entropy(scores, wanted, reduction="none")
        right = (scores.argmax(-1) == wanted)[wanted > 0].float().mean()
        return (loss * weight).sum() / weight.sum(), right


def by_cell(patches: Tensor) -> Tensor:
    """Patches (B, H, W, K) to (B, H / 4, W / 4, 16, K)."""
    b, h, w, k = patches.shape
    return patches.view(b, h // 4, 4, w // 4, 4, k).transpose(2, 3).reshape(b, h // 4, w // 4, 16, k)


def guide_loss(attention: nn.Module, inputs: tuple[Any, ...], number: int, guide: Tensor) -> Tensor:
    """How little one head looks at the vision tokens named by `guide` (B, T, CELLS_PER_TOKEN)."""
    x, rotary, width = inputs[0], inputs[1], attention.head_dim
    rows = slice(number * width, (number + 1) * width)
    q = rotate(F.linear(x, attention.q_proj.weight[rows])[:, None], rotary)[:, 0]
    k = rotate(F.linear(x, attention.k_proj.weight[rows])[:, None], rotary)[:, 0]
    scores = (q.float() @ k.float().transpose(1, 2)) / math.sqrt(width)  # (B, T, T)
    length = scores.shape[-1]
    scores = scores.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), -torch.inf)
    page, place = (guide[..., 0] >= 0).nonzero().unbind(1)
    share, cells = scores[page, place].log_softmax(-1), guide[page, place]
    looked = share.gather(1, cells.clamp(min=0)).masked_fill(cells < 0, -torch.inf)
    return -looked.logsumexp(-1).mean()


class Replay:
    """Pages of earlier steps as the frozen compressor gave them, so that the decoder sees more text for each
    page that SAM looks at: SAM's work on a page of large print outweighs the decoder's many times.
    """

    def __init__(self, teacher: Teacher, seed: int, most: int = 3000) -> None:
        self.teacher, self.most = teacher, most
        self.rng = np.random.default_rng(seed)
        self.rows: dict[int, list[tuple[Tensor, ...]]] = {}

    def mix(self, batch: Batch, factor: int) -> Batch:
        """The batch's pages, and `factor` - 1 times as many that were seen before, of the same side."""
        with torch.no_grad():
            local = self.teacher.compress(batch.pixels).to(torch.bfloat16)
        parts = (local, batch.ids, batch.labels, batch.spelling, batch.guide, batch.patches)
        fresh = [tuple(part[row] for part in parts) for row in range(len(local))]
        known = self.rows.setdefault(batch.pixels.shape[-1], [])
        count = min(len(known), (factor - 1) * len(fresh))
        chosen = (
            fresh + [known[i] for i in self.rng.choice(len(known), count, replace=False)] if count else fresh
        )
        known += fresh
        del known[: max(0, len(known) - self.most)]
        length = max(row[1].shape[0] for row in chosen)
        padding = (0.0, self.teacher.model.config.decoder.eos_token_id, IGNORE, 0, -1, 0)
        stacked = [
            torch.stack([part if n in (0, 5) else _longer(part, length, padding[n]) for part in column])
            for n, column in enumerate(zip(*chosen, strict=True))
        ]
        return Batch(*stacked, phase=batch.phase, step=batch.step)


def _longer(rows: Tensor, length: int, value: float) -> Tensor:
    """(T, …) to (length, …), filled up with a value."""
    return torch.cat([rows, rows.new_full((length - len(rows), *rows.shape[1:]), value)])


def balance(routed: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The router's balance loss (Switch Transformers, eq. 4): 1 when all experts share alike."""
    _, experts, probabilities = routed
    count = probabilities.shape[-1]
    load = F.one_hot(experts, count).float().sum((0, 1)) / experts.numel()
    return count * (load * probabilities.mean(0)).sum()


# --- the loop
# ------------------------------------------------------------------------------------------------------


def learning_rate(phase: Phase, number: int, step: int, warmup: int = 100) -> float:
    rate = phase.learning_rate
    if number == 0:
        rate *= min(1.0, (step + 1) / warmup)
    if phase.decay:
        rate *= 0.5 * (1 + math.cos(math.pi * step / phase.steps)) + 0.01
    return rate


def groups(teacher: Teacher) -> list[dict[str, Any]]:
    spell = list(teacher.spell_head.parameters())
    unused = teacher.model.encoder.clip.embeddings.patch_embedding.weight
    others = [p for name, p in teacher.named_parameters() if p is not unused and "spell_head" not in name]
    return [
        {"params": [p for p in others if p.ndim >= 2], "weight_decay": 0.05},
        {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        {"params": spell, "weight_decay": 0.0},
    ]


def save_checkpoint(
    path: Path, teacher: Teacher, optimizer: torch.optim.Optimizer, where: tuple[int, int]
) -> None:
    partial = path.with_suffix(".partial")
    state = {"teacher": teacher.state_dict(), "optimizer": optimizer.state_dict(), "where": where}
    torch.save(state, partial)
    partial.replace(path)


def train(rank: int, ranks: int, options: argparse.Namespace, course: tuple[Phase, ...]) -> None:
    """One of several training processes; each has a thread and its share of every batch."""
    torch.set_num_threads(options.threads)
    run: Path = options.run
    if ranks > 1:
        meeting = f"tcp://127.0.0.1:{options.port}"
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks)
    tokenizer = Tokenizer.load(ASSETS)
    torch.manual_seed(options.seed)
    model = OCR(nano_config(tokenizer))
    initialise(model, tokenizer)
    if options.start:
        model.load_state_dict(weights.load(options.start, dtype=torch.float32).state_dict())
    teacher = Teacher(model)
    optimizer = torch.optim.AdamW(groups(teacher), lr=1e-3, betas=(0.9, 0.98), fused=True)
    start = (0, 0)
    if (run / "last.pt").exists():
        state = torch.load(run / "last.pt", map_location="cpu", weights_only=True)
        teacher.load_state_dict(state["teacher"])
        optimizer.load_state_dict(state["optimizer"])
        start = tuple(state["where"])
    if rank == 0:
        print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M parameters, from {start}", flush=True)
    context = mp.get_context("spawn")
    batches = context.Queue(3)
    artist = context.Process(
        target=drawing_process,
        args=(batches, options.seed, options.corpus, options.cache, course, start, (rank, ranks)),
        daemon=True,
    )
    artist.start()
    replay = Replay(teacher, options.seed + rank)
    saved = time.monotonic()
    with (run / f"metrics{rank or ''}.jsonl").open("a") as log:
        for number, step in positions(course, start):
            batch = next_batch(batches, artist)
            assert (batch.phase, batch.step) == (number, step)
            metrics = one_step(teacher, optimizer, batch, course[number], ranks, replay)
            if step % 10 == 0:
                log.write(json.dumps({"phase": course[number].name, "step": step, **metrics}) + "\n")
                log.flush()
            done = step + 1 == course[number].steps
            if rank == 0 and (done or time.monotonic() - saved > options.save_every):
                where = (number + 1, 0) if done else (number, step + 1)
                save_checkpoint(run / "last.pt", teacher, optimizer, where)
                saved = time.monotonic()
                if done:
                    shutil.copy(run / "last.pt", run / f"{course[number].name}.pt")


def next_batch(batches: Any, artist: Any) -> Batch:
    while True:
        try:
            batch: Batch = batches.get(timeout=30)
            return batch
        except queue.Empty:
            if not artist.is_alive():
                raise SystemExit("the drawing process died: see its message above") from None


def share_gradients(teacher: Teacher, ranks: int) -> None:
    """Each gradient becomes its mean over the training processes."""
    gradients = [p.grad for p in teacher.parameters() if p.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(together)
    parts = together.div_(ranks).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def one_step(
    teacher: Teacher,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    phase: Phase,
    ranks: int = 1,
    replay: Replay | None = None,
) -> dict[str, float]:
    began = time.monotonic()
    rate = learning_rate(phase, batch.phase, batch.step)
    for group in optimizer.param_groups:
        group["lr"] = rate
    for part in (teacher.model.encoder.sam, teacher.model.encoder.compressor, teacher.patch_head):
        part.requires_grad_(not phase.frozen)
    side = batch.pixels.shape[-1]
    with torch.autocast("cpu", torch.bfloat16):
        if replay is not None and phase.frozen and phase.replay > 1:
            batch = replay.mix(batch, phase.replay)
        losses = teacher(batch, phase.cell_weight > 0)
    total = losses["text"] + phase.patch_weight * losses["patch"] + phase.cell_weight * losses["cell"]
    total = (
        total
        + phase.guide_weight * (losses["guide"] + losses["behind"])
        + phase.spell_weight * losses["spell"]
    )
    total = total + 0.01 * losses["balance"]
    if not torch.isfinite(total):
        raise SystemExit(f"the loss is {total.item()} at step {batch.step}: go on from the last checkpoint")
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    if ranks > 1:
        share_gradients(teacher, ranks)
    norm = nn.utils.clip_grad_norm_(teacher.parameters(), 1.0)
    optimizer.step()
    metrics = {name: round(value.item(), 4) for name, value in losses.items()}
    return metrics | {
        "norm": round(norm.item(), 3),
        "lr": rate,
        "side": side,
        "pages": len(batch.ids),
        "seconds": round(time.monotonic() - began, 3),
    }


def export(run: Path, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """The network without its heads, under the released names."""
    model = OCR(nano_config(Tokenizer.load(ASSETS)))
    teacher = Teacher(model)
    teacher.load_state_dict(torch.load(run / "last.pt", map_location="cpu", weights_only=True)["teacher"])
    weights.save(model.to(dtype), folder)
    if not (folder / TOKENIZER_NAME).exists():
        shutil.copy(ASSETS / TOKENIZER_NAME, folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoints and metrics")
    parser.add_argument("--corpus", default="../shared/corpus")
    parser.add_argument("--cache", default="runs/cache", help="folder for the unpacked text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="training processes, one a core")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--port", type=int, default=29511, help="where they meet, on this machine")
    parser.add_argument("--save-every", type=float, default=300, help="seconds between checkpoints")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PHASE.FIELD=VALUE", help="change the course"
    )
    parser.add_argument(
        "--start", type=Path, help="folder of a network to begin with instead of random weights"
    )
    parser.add_argument("--export", type=Path, help="write the network to this folder instead of training")
    options = parser.parse_args()
    if options.export:
        export(options.run, options.export)
        return
    course = changed(COURSE, options.set)
    options.run.mkdir(parents=True, exist_ok=True)
    (options.run / "course.json").write_text(json.dumps([asdict(phase) for phase in course], indent=2))
    ranks = options.processes
    if ranks == 1:
        train(0, 1, options, course)
    else:
        torch.multiprocessing.spawn(train, args=(ranks, options, course), nprocs=ranks)


def changed(course: tuple[Phase, ...], changes: list[str]) -> tuple[Phase, ...]:
    for change in changes:
        target, _, value = change.partition("=")
        name, _, entry = target.partition(".")
        course = tuple(
            replace(phase, **{entry: json.loads(value)}) if phase.name == name else phase for phase in course
        )
    return course


if __name__ == "__main__":
    main()
