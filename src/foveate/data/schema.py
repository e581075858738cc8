"""The columns of a shard: a sample as a row of Parquet, and back.

The picture is a struct of bytes and a name, which is what Hugging Face `datasets` takes for an image; the
schema carries its note that it is one. Everything else is plain text, numbers and lists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import Image, UnidentifiedImageError

from foveate.data.sample import TASKS, Region, Sample, Turn
from foveate.document import Box
from foveate.errors import CorruptSource, OptionError

try:
    import pyarrow as pa
except ImportError as missing:
    raise OptionError("shards of samples need pyarrow: pip install 'foveate[data]'") from missing

NAME, VERSION = "foveate.sample", 1

# Level 4 writes a page of text in half the time of Pillow's 6, and a few percent larger.
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 4},
    "jpeg": {"format": "JPEG", "quality": 90},
    "webp": {"format": "WEBP", "quality": 90, "method": 4},
}

_TURN = pa.struct([("role", pa.string()), ("text", pa.string())])
_BOX = [(side, pa.float64()) for side in ("x0", "y0", "x1", "y1")]
_REGION = pa.struct([("kind", pa.string()), *_BOX, ("text", pa.string())])
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_COLUMNS = [
    ("position", pa.int64()),
    ("kind", pa.string()),
    ("task", pa.string()),
    ("image", _IMAGE),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("prompt", pa.string()),
    ("answer", pa.string()),
    ("turns", pa.list_(_TURN)),
    ("language", pa.string()),
    ("regions", pa.list_(_REGION)),
    ("source", pa.string()),
    ("number", pa.int64()),
    ("seed", pa.int64()),
    ("details", pa.string()),
]
_HUGGING_FACE = {"info": {"features": {"image": {"_type": "Image"}}}}
ARROW = pa.schema(_COLUMNS, metadata={"huggingface": json.dumps(_HUGGING_FACE)})


def to_row(sample: Sample, position: int, format: str) -> dict[str, Any]:
    """The sample as values of the columns; `position` is its place in the whole set."""
    width, height = sample.image.size if sample.image else (None, None)
    return {
        "position": position,
        "kind": sample.kind,
        "task": sample.task,
        "image": _picture(sample.image, f"{sample.kind}-{position:08d}.{format}", format),
        "width": width,
        "height": height,
        "prompt": _text(sample.prompt),
        "answer": _text(sample.answer),
        "turns": [{"role": turn.role, "text": _text(turn.text)} for turn in sample.turns],
        "language": sample.language,
        "regions": [_region_row(region) for region in sample.regions],
        "source": _text(sample.source),
        "number": sample.number,
        "seed": sample.seed,
        "details": to_json(sample.details),
    }


def from_row(row: Mapping[str, Any]) -> Sample:
    """The sample that `to_row` described, its picture decoded.

    Raises `CorruptSource` for a picture or details that do not decode.
    """
    try:
        image = decoded(row["image"]["bytes"]) if row["image"] is not None else None
        details = json.loads(row["details"])
    except ValueError as problem:
        raise CorruptSource(f"sample {row['position']} is damaged ({problem}): make it again") from problem
    return Sample(
        kind=row["kind"],
        task=row["task"],
        turns=tuple(Turn(turn["role"], turn["text"]) for turn in row["turns"]),
        image=image,
        language=row["language"],
        regions=tuple(_region(region) for region in row["regions"]),
        source=row["source"],
        number=row["number"],
        seed=row["seed"],
        details=details,
    )


def decoded(picture: bytes) -> Image.Image:
    """A row's picture. Raises `ValueError` for bytes that are none."""
    try:
        image = Image.open(BytesIO(picture))
        image.load()
    except UnidentifiedImageError as problem:  # whose message names an address in memory
        raise ValueError("no picture") from problem
    except (OSError, SyntaxError) as problem:  # SyntaxError is Pillow's word for a broken PNG
        raise ValueError(str(problem)) from problem
    return image


def to_json(values: Any) -> str:
    """JSON with its keys in order, so that equal values are equal bytes."""
    return _text(json.dumps(values, sort_keys=True, ensure_ascii=False, allow_nan=False, default=_plain))


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _text(text: str) -> str:
    # File names may hold lone surrogates, which no encoding accepts.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _picture(image: Image.Image | None, name: str, format: str) -> dict[str, Any] | None:
    if image is None:
        return None
    if format != "png" and image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    image.save(content := BytesIO(), **FORMATS[format])
    return {"bytes": content.getvalue(), "path": name}


def _region_row(region: Region) -> dict[str, Any]:
    box = region.box
    corners = {"x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1}
    return {"kind": region.kind, **{side: float(value) for side, value in corners.items()}} | {
        "text": _text(region.text)
    }


def _region(row: Mapping[str, Any]) -> Region:
    return Region(row["kind"], Box(row["x0"], row["y0"], row["x1"], row["y1"]), row["text"])


def json_schema() -> dict[str, Any]:
    """A row as JSON Schema (draft 2020-12), bytes as a string in base 64."""
    text, number, whole = {"type": "string"}, {"type": "number"}, {"type": "integer"}
    turn = _object({"role": {"enum": ["user", "assistant"]}, "text": text})
    region = _object({"kind": text, "x0": number, "y0": number, "x1": number, "y1": number, "text": text})
    picture = _object({"bytes": {**text, "contentEncoding": "base64"}, "path": text})
    pixels = {"type": ["integer", "null"], "minimum": 1}
    columns = {
        "position": {**whole, "minimum": 0, "description": "place in the whole set"},
        "kind": {**text, "description": "the maker's name"},
        "task": {"enum": list(TASKS), "description": "what the sample trains"},
        "image": {"anyOf": [picture, {"type": "null"}], "description": "PNG, JPEG or WebP; null: text alone"},
        "width": {**pixels, "description": "pixels"},
        "height": {**pixels, "description": "pixels"},
        "prompt": {**text, "description": "the first turn's text; <image> is the picture's place"},
        "answer": {**text, "description": "the last turn's text"},
        "turns": {"type": "array", "items": turn, "minItems": 2},
        "language": {**text, "description": "BCP 47, or empty"},
        "regions": {"type": "array", "items": region, "description": "boxes in pixels from the top left"},
        "source": {**text, "description": "what it was made from"},
        "number": {**whole, "description": "of the sample within its kind"},
        "seed": whole,
        "details": {**text, "contentMediaType": "application/json"},
    }
    assert list(columns) == ARROW.names
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": NAME, "version": VERSION}
    return head | _object(columns)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
