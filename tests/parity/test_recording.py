"""Full-size DeepEncoder against a recording of the released code in fp32, with weights made from their names.

`pytest tests/parity --recording FILE` checks another recording of the same format; `weights.py` stands beside
it.
"""

import importlib.util
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from foveate.config import OCRConfig
from foveate.engine.cache import Cache
from foveate.model.ocr import OCR
from foveate.model.weights import slots
from foveate.pages.mode import get_mode
from foveate.pages.tokenizer import Tokenizer
from foveate.pages.views import PageViews, make_views

pytestmark = pytest.mark.slow
TOLERANCE = 1e-4  # relative, fp32


def picture(width: int, height: int, seed: int) -> Image.Image:
    """The page of a case: gradients, a checkerboard and twelve rectangles (the recording's README defines
    it)."""
    y, x = np.mgrid[0:height, 0:width]
    across, down = x * 255 // max(1, width - 1), y * 255 // max(1, height - 1)
    checks = ((x // (7 + seed) + y // (11 + seed)) % 2) * 255
    image = Image.fromarray(np.stack([across, down, checks], -1).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for k in range(12):
        left, top = (k * 97 + seed * 53) % width, (k * 61 + seed * 29) % height
        corner = (min(width - 1, left + width // 9), min(height - 1, top + height // 13))
        pen.rectangle(((left, top), corner), fill=((k * 40) % 256, (255 - k * 20) % 256, (k * k * 7) % 256))
    saved = io.BytesIO()
    image.save(saved, format="PNG")
    return Image.open(saved).convert("RGB")


def distance(ours: torch.Tensor, theirs: np.ndarray[Any, Any]) -> float:
    """Norm of the difference over the norm of the recorded values."""
    recorded = torch.from_numpy(theirs).double()
    return float((ours.double() - recorded).norm() / recorded.norm())


@pytest.fixture(scope="module")
def recording(request: pytest.FixtureRequest) -> Path:
    default = Path(__file__).parents[2].parent / "shared" / "parity" / "parity_dev.npz"
    path: Path = request.config.getoption("--recording") or default
    if not path.is_file():
        pytest.skip("needs a recording: ../shared/parity or --recording")
    return path


@pytest.fixture(scope="module")
def cases(recording: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    with np.load(recording) as arrays:
        for key in arrays.files:
            if "/" in key:
                case, _, value = key.partition("/")
                found.setdefault(case, {})[value] = arrays[key]
    return found


@pytest.fixture(scope="module")
def folder() -> Path:
    path = Path(__file__).parents[2].parent / "shared" / "checkpoint"
    if not path.is_dir():
        pytest.skip("needs ../shared/checkpoint")
    return path


@pytest.fixture(scope="module")
def network(recording: Path, folder: Path) -> OCR:
    beside = recording.parent / "weights.py"
    source = beside if beside.is_file() else folder.parent / "parity" / "weights.py"
    spec = importlib.util.spec_from_file_location("parity_weights", source)
    assert spec is not None and spec.loader is not None
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    with np.load(recording) as arrays:
        salt = int(arrays["salt"])
    full = OCRConfig.load(folder)
    model = OCR(replace(full, decoder=replace(full.decoder, num_hidden_layers=3, n_routed_experts=8)))
    for slot in slots(model):
        slot.tensor.copy_(weights.fill(slot.name, tuple(slot.tensor.shape), salt))
    return model.eval().requires_grad_(False)


def views_of(case: dict[str, Any]) -> PageViews:
    width, height, seed = (int(value) for value in case["size"])
    return make_views(picture(width, height, seed), get_mode(str(case["mode"])))


def as_float(views: PageViews) -> PageViews:
    tiles = None if views.tiles is None else views.tiles.float()
    return PageViews(views.whole.float(), tiles, views.grid)


def test_input_ids_grids_and_pixels_are_the_recorded_ones(
    cases: dict[str, dict[str, Any]], folder: Path
) -> None:
    tokenizer = Tokenizer.load(folder)
    for name, case in cases.items():
        width, height, _ = (int(value) for value in case["size"])
        layout = get_mode(str(case["mode"])).layout(width, height)
        assert layout.sequence_length == case["n_vision"], name
        ids = tokenizer.encode_prompt(str(case["prompt"]), layout.sequence_length)
        assert ids == case["input_ids"].tolist(), name
        assert [token == tokenizer.image for token in ids] == case["mask"].tolist(), name
        assert [list(layout.grid)] == case["grid"].tolist(), name
        views = views_of(case)
        assert torch.equal(
            views.whole[None, :, ::31, ::29].float(), torch.from_numpy(case["global_pixels"])
        ), name
        assert layout.tiles == case["n_local"], name
        if layout.tiles:
            assert views.tiles is not None
            assert torch.equal(
                views.tiles[:, :, ::31, ::29].float(), torch.from_numpy(case["local_pixels"])
            ), name


def test_vision_tokens_logits_and_greedy_continuation(cases: dict[str, dict[str, Any]], network: OCR) -> None:
    far: list[str] = []
    for name, case in cases.items():
        ids = torch.from_numpy(case["input_ids"]).long()[None]
        vision = network.encode([as_float(views_of(case))])[0]
        count = int(case["n_vision"])
        assert len(vision) == count, name
        logits = network.decoder.logits(hidden_states(network, ids, vision))
        far += [
            f"{name} {what}: {value:.1e}"
            for what, value in (
                ("vision tokens", distance(vision[:: max(1, count // 40), ::20], case["vision_tokens"])),
                ("last logits", distance(logits[0, -1, ::101], case["last_logits"])),
                ("logits three before the end", distance(logits[0, -3, ::101], case["mid_logits"])),
            )
            if value > TOLERANCE
        ]
        assert logits[0, -1].topk(20).indices.tolist() == case["top"].tolist(), name
        assert greedy(network, ids, vision, len(case["greedy"])) == case["greedy"].tolist(), name
        assert greedy_cached(network, ids, vision, len(case["greedy"])) == case["greedy"].tolist(), name
    assert not far


def hidden_states(network: OCR, ids: torch.Tensor, vision: torch.Tensor) -> torch.Tensor:
    positions = torch.arange(ids.shape[1])[None]
    hidden: torch.Tensor = network.decoder(network.embed(ids, [vision]), positions)
    return hidden


def greedy(network: OCR, ids: torch.Tensor, vision: torch.Tensor, count: int) -> list[int]:
    """The slow twin: the whole sequence anew for every token."""
    for _ in range(count):
        token = network.decoder.logits(hidden_states(network, ids, vision)[:, -1]).argmax(-1)
        ids = torch.cat([ids, token[None]], dim=1)
    return ids[0, -count:].tolist()


def greedy_cached(network: OCR, ids: torch.Tensor, vision: torch.Tensor, count: int) -> list[int]:
    cache = Cache(network.config.decoder, rows=1, dtype=torch.float32, device="cpu")
    lengths = torch.tensor([ids.shape[1]])
    x = network.decoder(
        network.embed(ids, [vision]), torch.arange(ids.shape[1])[None], None, cache.prefill(lengths)
    )
    chosen: list[int] = []
    while True:
        token = network.decoder.logits(x[:, -1]).argmax(-1)
        chosen.append(int(token))
        if len(chosen) == count:
            return chosen
        position, step = cache.lengths[:, None], cache.decode()
        x = network.decoder(network.embed(token[None], ()), position, step.mask, step)
