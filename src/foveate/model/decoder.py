"""The DeepSeek mixture-of-experts decoder: vision and text tokens in, the next token out.

B sequences · T new tokens · D width · V vocabulary
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.config import DecoderConfig
from foveate.model.attention import Attention, KeyValues, rotary_table
from foveate.model.experts import MixtureOfExperts, Mlp


class RMSNorm(nn.Module):
    """Root mean square norm (arXiv 1910.07467), computed in fp32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)
        return self.weight * normed.to(x.dtype)


class Layer(nn.Module):
    def __init__(self, config: DecoderConfig, index: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, index)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        dense = index < config.first_k_dense_replace
        self.mlp = Mlp(config.hidden_size, config.intermediate_size) if dense else MixtureOfExperts(config)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: KeyValues | None
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotary, mask, cache)
        return x + self.mlp(self.post_attention_layernorm(x))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Embeddings (B, T, D) to hidden states (B, T, D); `lm_head` turns those into logits (…, V)."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(
        self, x: Tensor, positions: Tensor, mask: Tensor | None = None, cache: KeyValues | None = None
    ) -> Tensor:
        """`positions` (B, T) count from 0; `mask` (B, 1, T, S) is true where the key is seen, None means
        causal."""
        rotary = rotary_table(positions, self.config.head_dim, self.config.rope_theta)
        for layer in self.layers:
            x = layer(x, rotary, mask, cache)
        return self.norm(x)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (…, D) to logits (…, V) in fp32."""
        return F.linear(hidden, self.lm_head.weight).float()
