"""nano's sizes, and the weights that it starts from."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.config import ClipConfig, DecoderConfig, OCRConfig, SamConfig
from foveate.model.ocr import OCR
from foveate.pages.tokenizer import Tokenizer

PROJECTIONS = (".attn.proj.weight", "out_proj.weight", "o_proj.weight", "down_proj", "down_proj.weight")
PROJECTIONS += ("lin2.weight", "fc2.weight")  # what writes into the residual stream


def nano_config(tokenizer: Tokenizer) -> OCRConfig:
    """The same classes as the released network, about a hundred-and-fiftieth of its size."""
    return OCRConfig(
        sam=SamConfig(
            width=192,
            layers=4,
            heads=3,
            global_attn_indexes=(2,),
            downsample_channels=(256, 320),
            window_size=8,
            neck_channels=192,
        ),
        clip=ClipConfig(width=320, layers=4, heads=5, image_size=16, patch_size=1, mlp_width=1280),
        decoder=DecoderConfig(
            hidden_size=400,
            num_hidden_layers=6,
            num_attention_heads=5,
            num_key_value_heads=5,
            intermediate_size=960,
            moe_intermediate_size=64,
            n_routed_experts=8,
            num_experts_per_tok=2,
            n_shared_experts=2,
            vocab_size=-(-len(tokenizer) // 16) * 16,
            max_position_embeddings=4096,
            rope_theta=500_000.0,  # most of a head compares what things say, not how far apart they are
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
        nn.init.normal_(parameter, std=std / math.sqrt(2 * depth) if name.endswith(PROJECTIONS) else std)
    spellings = spelt(tokenizer, model.config.decoder.hidden_size)
    # What is read should outweigh what the first layers add to it; what is written starts nearly even.
    for weight, size in ((model.decoder.embed_tokens.weight, 0.5), (model.decoder.lm_head.weight, 0.04)):
        nn.init.normal_(weight, std=size / 2)
        weight.data[: len(spellings)] += size * spellings
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
            # Query minus key, from the neighbour.
            distance = torch.arange(len(table)) - len(table) // 2 + offset
            hill = -(distance.float() ** 2).clamp(max=6)
            table.data += hill[:, None] * u[None] / u.square().sum()
