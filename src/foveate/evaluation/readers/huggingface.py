"""Image-text-to-text models through `transformers`: a folder or a hub id, never with remote code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

import torch
from PIL import Image

from foveate.errors import ModelError, ModelNotFound, OptionError
from foveate.evaluation.readers.adapters import ADAPTERS, OTHERS, Adapter
from foveate.evaluation.readers.protocol import AUTO, ReaderOptions, Reading

MAX_TOKENS = 4096


class HuggingFaceReader:
    """Reads with a model of `transformers`, greedily, one page at a time."""

    def __init__(
        self, name: str, model: Any, processor: Any, adapter: Adapter, options: ReaderOptions
    ) -> None:
        self.name = f"hf:{name}"
        self._model, self._processor, self._adapter, self._options = model, processor, adapter, options
        self._prompt = adapter.choose(options.prompt)

    @classmethod
    def open(cls, place: str, options: ReaderOptions) -> Self:
        """Loads the model and its processor. Raises `OptionError` without the library, else `ModelError`."""
        try:
            from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
        except ImportError as problem:
            raise OptionError("readers hf:… need transformers: pip install transformers") from problem
        try:
            kind = AutoConfig.from_pretrained(place).model_type
            load_processor: Any = AutoProcessor.from_pretrained  # without types
            processor = load_processor(place)
            model: Any = AutoModelForImageTextToText.from_pretrained(place, dtype=_dtype(options.dtype))
        except ImportError as problem:  # some processors need torchvision
            raise OptionError(f"{place}: {_first_line(problem)}") from problem
        except (OSError, ValueError, KeyError) as problem:
            raise ModelNotFound(
                f"{place} cannot be loaded by transformers: {_first_line(problem)}"
            ) from problem
        model = model.to(_device(options.device)).eval()
        return cls(place, model, processor, ADAPTERS.get(kind, OTHERS), options)

    def read(self, image: Image.Image, mode: str = AUTO, *, page: str = "") -> Reading:
        """What the model writes to its own prompt. `mode` is left to the model's processor."""
        started = time.perf_counter()
        try:
            inputs = self._inputs(image.convert("RGB"))
            written = self._generate(inputs)  # (T,)
        except (RuntimeError, ValueError, TypeError, ModelError) as problem:
            return Reading("", time.perf_counter() - started, stop="error", error=_first_line(problem))
        text = self._processor.decode(written, skip_special_tokens=not self._adapter.keep_special)
        text = self._adapter.finish(self._processor, text, image.size)
        return Reading(
            text=text,
            seconds=time.perf_counter() - started,
            text_tokens=len(written),
            vision_tokens=self._vision_tokens(inputs),
            stop="length" if len(written) >= self._most else "end",
        )

    @property
    def _most(self) -> int:
        return self._options.max_tokens or MAX_TOKENS

    def _inputs(self, image: Image.Image) -> Mapping[str, Any]:
        """The question as tensors, where the model is and of its kind."""
        asked = self._adapter.ask(self._processor, image, self._prompt)
        parameter = next(self._model.parameters())
        moved: dict[str, Any] = {}
        for name, value in asked.items():
            if isinstance(value, torch.Tensor):
                value = value.to(parameter.device, parameter.dtype if value.is_floating_point() else None)
            moved[name] = value
        return moved

    def _generate(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """The ids that were written. (T,)"""
        settings = self._adapter.settings(self._processor)
        with torch.inference_mode():
            ids = self._model.generate(**inputs, do_sample=False, max_new_tokens=self._most, **settings)
        first = 1 if self._adapter.encoder_decoder else inputs["input_ids"].shape[1]
        written: torch.Tensor = ids[0, first:]
        return written

    def _vision_tokens(self, inputs: Mapping[str, Any]) -> int | None:
        """How often the page's token stands in the question; None where there is no such token."""
        token = getattr(self._processor, "image_token_id", None)
        if token is None or "input_ids" not in inputs:
            return None
        return int((inputs["input_ids"] == token).sum())

    def versions(self) -> dict[str, str]:
        import transformers

        parameter = next(self._model.parameters())
        return {
            "transformers": transformers.__version__,
            "torch": torch.__version__,
            "weights": f"{parameter.dtype} on {parameter.device}",
        }


def _dtype(name: str) -> Any:
    return name if name == "auto" else getattr(torch, name)


def _device(name: str) -> str:
    if name != AUTO:
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _first_line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
