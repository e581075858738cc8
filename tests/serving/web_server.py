"""A live server around a network that writes a script, for the tests of the web page."""

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from foveate.engine.reader import Reader
from foveate.model.source import find_model
from foveate.pages.tokenizer import Tokenizer
from tests import tiny

MARKUP = (
    "<|ref|>title<|/ref|><|det|>[[50, 60, 560, 210]]<|/det|>\n# Pages\n\n"
    "<|ref|>text<|/ref|><|det|>[[50, 280, 980, 560]]<|/det|>\nA page becomes a picture, and **the picture**"
    " is <img src=x onerror=alert(1)> read again.\n\n"
    "<|ref|>table<|/ref|><|det|>[[50, 600, 980, 900]]<|/det|>\n"
    "<table><tr><td>Mode</td><td>Tokens</td></tr><tr><td>Tiny</td><td>64</td></tr></table>"
)
DOUBTFUL = " picture"  # the token that the script is unsure of


@dataclass
class Script:
    """What the network writes on every page, token by token."""

    ids: list[int]
    unsure: int
    seconds: float = 0.0  # that each step takes
    stalled: threading.Event | None = None  # steps wait for it from the 60th token on

    def choose(self, logits: Tensor, histories: Sequence[Sequence[int]], *_: Any) -> tuple[Tensor, Tensor]:
        """In place of `foveate.engine.sampling.choose`."""
        if self.stalled is not None and any(len(history) >= 60 for history in histories):
            self.stalled.wait(20)
        if self.seconds:
            time.sleep(self.seconds)
        chosen = [self.ids[min(len(history), len(self.ids) - 1)] for history in histories]
        sure = [math.log(0.2 if token == self.unsure else 0.95) for token in chosen]
        return torch.tensor(chosen), torch.tensor(sure)


def scripted(markup: str = MARKUP) -> tuple[Reader, Script]:
    """A reader whose network is tiny and whose words are the script's."""
    tokenizer = Tokenizer.load(find_model("nano"))
    config = tiny.with_decoder(vocab_size=len(tokenizer), num_hidden_layers=2)
    config = replace(config, image_token_id=tokenizer.image)
    config = replace(config, decoder=replace(config.decoder, eos_token_id=tokenizer.eos))
    script = Script([*tokenizer.encode(markup), tokenizer.eos], tokenizer.encode(DOUBTFUL)[-1])
    return Reader(tiny.network(config), tokenizer, "scripted"), script
