"""What a run says of itself: a bar on a terminal, lines of JSON, and TensorBoard where it is asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from foveate.errors import OptionError

NAME, BOARD = "metrics.jsonl", "tensorboard"


class Metrics:
    """Writes rows, each of a step, into a run's folder. Used in `with`."""

    def __init__(
        self,
        run: Path,
        step: int = 0,
        total: int | None = None,
        tensorboard: bool = False,
        quiet: bool = True,
    ) -> None:
        """`step` is where the run goes on; rows of later steps, which will be done again, are dropped."""
        run.mkdir(parents=True, exist_ok=True)
        self._path = run / NAME
        forget(self._path, step)
        self._board = _board(run / BOARD, step) if tensorboard else None
        self._file = self._path.open("a", encoding="utf-8")
        shown = sys.stderr.isatty() and not quiet
        self._bar = tqdm(
            total=total, initial=step, unit="step", disable=not shown, leave=False, file=sys.stderr
        )

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *problem: object) -> None:
        self._bar.close()
        self._file.close()
        if self._board is not None:
            self._board.close()

    def tick(self, loss: float) -> None:
        """One step more."""
        self._bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        self._bar.update()

    def add(self, row: Mapping[str, Any]) -> None:
        """One line; a `step` is among its values. Whoever kills us finds whole lines."""
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in _numbers("", row):
                self._board.add_scalar(name, value, row["step"])


def _numbers(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Names and numbers, those of inner objects under the object's name."""
    pairs: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            pairs += _numbers(f"{prefix}{name}/", value)
        elif isinstance(value, int | float) and name != "step":
            pairs.append((prefix + name, float(value)))
    return pairs


def read(run: Path) -> list[dict[str, Any]]:
    """The rows of a run. A line that was cut off is left out."""
    path = run / NAME
    return _rows(path) if path.is_file() else []


def forget(path: Path, step: int) -> None:
    """Drops the rows behind a step."""
    if not path.is_file():
        return
    kept = [row for row in _rows(path) if row["step"] <= step] if step else []
    partial = path.with_name(f".{path.name}.partial")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    partial.write_text(lines, encoding="utf-8")
    os.replace(partial, path)


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:  # the end of what was written when the process was killed
            continue
    return rows


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as missing:
        raise OptionError("metrics.tensorboard needs tensorboard: pip install 'foveate[train]'") from missing
    return SummaryWriter(str(folder), purge_step=step + 1)
