"""A page read from vision tokens that are ready is the page read from its pixels, in any company."""

from dataclasses import replace

import pytest
import torch

from foveate.engine.engine import Engine
from foveate.errors import OptionError
from tests.engine.test_engine import TOKENIZER, config, page, pages, run
from tests.tiny import network

MODEL = network(config())


def test_ready_tokens_read_as_pixels_do() -> None:
    requests = pages()
    wanted = run(Engine(MODEL, TOKENIZER, 8), requests)
    with torch.inference_mode():
        ready = [replace(request, views=MODEL.encode([request.views])[0]) for request in requests]
    for some in (ready, [a if n % 2 else b for n, (a, b) in enumerate(zip(ready, pages(), strict=True))]):
        found = run(Engine(MODEL, TOKENIZER, 8), some)
        for key, reading in wanted.items():
            assert found[key].ids == reading.ids
            assert found[key].log_probabilities == pytest.approx(reading.log_probabilities, abs=1e-4)


def test_tokens_that_do_not_fit_are_refused_before_they_run() -> None:
    request = page()
    engine = Engine(MODEL, TOKENIZER, 8)
    for shape in ((2, 48), (3, 47), (3,)):
        with pytest.raises(OptionError, match="encode the page anew"):
            engine.submit(replace(request, views=torch.zeros(shape)))
    assert not engine.busy
