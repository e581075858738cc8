"""A step's batches through the stages, forwards and backwards in turns (1F1B, arXiv 2006.09503).

By `torch.distributed.pipelining`. Shapes are told beforehand, so nothing is tried out; a schedule is made for
each row length and number of batches that comes up, and kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributed.pipelining import PipelineStage, Schedule1F1B

from foveate.training.feeding import Batch
from foveate.training.parallel.layout import Layout
from foveate.training.parallel.stages import Share, Stage, Terms, pad_batch

Shape = tuple[int, int, int]  # batches, rows of one, tokens of a row (0: any)


class Pipeline:
    """This process's stage with its neighbours.

    A single stage has none, and its rows keep their lengths; it goes through a schedule all the same, which
    has FSDP reduce gradients once, after the last batch. By itself it would after every call of a layer, and
    groups with other views call the encoder's layers differently often.
    """

    def __init__(self, stage: Stage, before: Sequence[bool], widths: Sequence[int], layout: Layout) -> None:
        """`before` says of each stage whether anything up to its end is trained, `widths` what it gives."""
        self.stage, self.layout = stage, layout
        self.before, self.widths = before, widths
        self._schedules: dict[Shape, Schedule1F1B] = {}

    def run(self, batches: Sequence[Batch], terms: Terms, padding: int) -> None:
        """Forward and backward; gradients are added to those that are there."""
        self.stage.begin(batches, terms, self.layout.device)
        length = 0
        if self.layout.parallel.pipeline > 1:
            length = max(batch.ids.shape[1] for batch in batches)
            self.stage.batches = [pad_batch(batch, length, padding) for batch in self.stage.batches]
        together = self.layout.parallel.microbatches or len(batches)
        for numbers in torch.split(torch.arange(len(batches)), together):
            schedule = self._schedule((len(numbers), len(batches[0].ids), length))
            if self.stage.share.last:
                schedule.step(number=numbers, target=numbers, return_outputs=False)
            else:
                schedule.step(number=numbers, return_outputs=False)

    def _schedule(self, shape: Shape) -> Schedule1F1B:
        if shape not in self._schedules:
            self._schedules[shape] = self._new_schedule(*shape)
        return self._schedules[shape]

    def _new_schedule(self, count: int, rows: int, length: int) -> Schedule1F1B:
        index, stages = self.layout.place.stage, self.layout.parallel.pipeline

        def travelling(stage: int) -> Tensor:
            """What comes out of a stage, as far as its kind goes."""
            shape = (rows, length, self.widths[stage]) if stage < stages - 1 else ()
            empty = torch.empty(shape, device=self.layout.device)
            return empty.requires_grad_(self.before[stage])

        stage = PipelineStage(
            self.stage,
            index,
            stages,
            self.layout.device,
            input_args=() if index == 0 else (travelling(index - 1),),
            output_args=(travelling(index),),
            group=self.layout.pipeline.get_group(),
        )
        # The stages' losses are shares of the step's, so gradients are not to be divided again.
        return Schedule1F1B(stage, count, loss_fn=_own_loss, scale_grads=False)


def _own_loss(loss: Tensor, number: Tensor) -> Tensor:
    """The last stage gives a loss itself: it has the labels."""
    return loss


def widths(parts: Sequence[Share], clip: int, decoder: int) -> list[int]:
    """What comes out of each stage."""
    return [clip if part == Share(sam=True) else decoder for part in parts]
