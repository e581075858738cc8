"""The learning rate over a run."""

import math

from foveate.training.recipes import Schedule


def factor(schedule: Schedule, step: int, progress: float) -> float:
    """The share of the highest rate that a step gets.

    `step` counts from 0; `progress` is the share of the run that lies behind it, from 0 to 1.
    """
    rising = min(1.0, (step + 1) / schedule.warmup) if schedule.warmup else 1.0
    return rising * _shape(schedule, min(max(progress, 0.0), 1.0))


def _shape(schedule: Schedule, progress: float) -> float:
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "step":
        reached = [rate for share, rate in sorted(schedule.drops) if progress >= share]
        return reached[-1] if reached else 1.0
    falling = 0.5 * (1 + math.cos(math.pi * progress)) if schedule.kind == "cosine" else 1 - progress
    return schedule.floor + (1 - schedule.floor) * falling
