"""Activation checkpointing: a layer keeps its input alone and runs again when its gradients are wanted."""

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from foveate.model import clip, decoder, sam

LAYERS = (sam.Block, clip.Layer, decoder.Layer)


def recompute_layers(module: nn.Module) -> None:
    """Makes the transformer layers below a module forget what they computed until the backward pass."""
    for layer in module.modules():
        if isinstance(layer, LAYERS):
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)  # type: ignore[method-assign]
