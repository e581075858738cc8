"""Where a run's numbers live, and how wide they are."""

from contextlib import AbstractContextManager, nullcontext

import torch

from foveate.errors import OptionError


def pick_device(name: str) -> torch.device:
    """The device of that name; auto takes the best there is. Raises `OptionError`."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as problem:
        reason = str(problem).splitlines()[0]
        raise OptionError(f"the device {name!r} cannot be used ({reason}): try cpu") from problem
    return device


def has_bf16_units(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices faster than fp32.

    A CPU without units for it takes them apart: on one such, fp32 was 50 times faster.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)
    return False


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """What forward passes run in: bf16 where it is asked for or pays, else as the weights are."""
    if precision == "bfloat16" or (precision == "auto" and has_bf16_units(device)):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
