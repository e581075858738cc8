"""Where each process stands: which stage of the pipeline it runs, and which data it learns from.

Neighbours in rank are neighbours in the pipeline, so that a machine of 8 GPUs holds two whole pipelines of 4
and what goes through a pipe stays inside the machine.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from foveate.errors import OptionError
from foveate.training.recipes import Parallel


@dataclass(frozen=True)
class Place:
    """One process's coordinates."""

    stage: int  # of the pipeline
    data: int  # its data-parallel group: all stages of one pipeline

    @classmethod
    def of(cls, rank: int, parallel: Parallel) -> Place:
        data, stage = divmod(rank, parallel.pipeline)
        return cls(stage, data)

    def streams(self, count: int, parallel: Parallel) -> range:
        """Its share of a run's data streams, an equal one."""
        each = count // parallel.data
        return range(self.data * each, (self.data + 1) * each)


@dataclass(frozen=True, eq=False)
class Layout:
    """All processes of a run as this one sees them."""

    parallel: Parallel
    place: Place
    device: torch.device
    pipeline: DeviceMesh  # the stages of this process's pipeline
    data: DeviceMesh  # the same stage of all pipelines
    experts: DeviceMesh | None  # of those, the processes that share this one's experts
    copies: DeviceMesh | None  # of those, the processes that hold the same experts as this one

    @property
    def leads(self) -> bool:
        return self.place == Place(0, 0)

    def sum(self, tensor: torch.Tensor, meshes: Sequence[DeviceMesh]) -> torch.Tensor:
        """The sum over the processes of each mesh, one mesh after the other; works in place."""
        for mesh in meshes:
            dist.all_reduce(tensor, group=mesh.get_group())
        return tensor


def join(parallel: Parallel, device: torch.device) -> Layout:
    """Meets the other processes of a run that `torchrun` has started. Raises `OptionError`."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count != parallel.processes:
        raise OptionError(
            f"parallel asks for {parallel.processes} processes ({parallel.pipeline} stages x {parallel.data} "
            f"groups), {count} are here: start them by torchrun --nproc-per-node {parallel.processes} "
            "-m foveate train …"
        )
    if parallel.data % parallel.experts:
        raise OptionError(
            f"parallel.experts is {parallel.experts}: choose a divisor of parallel.data, {parallel.data}"
        )
    if not dist.is_initialized():
        # Objects and barriers go by gloo, tensors on a GPU by NCCL.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return _layout(parallel, device)


def _layout(parallel: Parallel, device: torch.device) -> Layout:
    stages = parallel.pipeline
    mesh = init_device_mesh(device.type, (parallel.data, stages), mesh_dim_names=("data", "pipeline"))
    experts = copies = None
    if parallel.experts > 1:
        shape = (parallel.data // parallel.experts, parallel.experts, stages)
        finer = init_device_mesh(device.type, shape, mesh_dim_names=("copies", "experts", "pipeline"))
        experts, copies = finer["experts"], finer["copies"]
    place = Place.of(dist.get_rank(), parallel)
    return Layout(parallel, place, device, mesh["pipeline"], mesh["data"], experts, copies)
