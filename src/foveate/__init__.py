"""Optical context compression: pages to few vision tokens, and back to text."""

from typing import TYPE_CHECKING, Any

from foveate.document import Document
from foveate.pages.mode import Mode

if TYPE_CHECKING:
    from foveate.engine.reader import Reader
    from foveate.memory.store import OpticalMemory

__version__ = "0.1.0.dev0"
__all__ = ["Document", "Mode", "OpticalMemory", "Reader", "__version__"]


def __getattr__(name: str) -> Any:
    # PyTorch takes a second to import: `foveate --help` and readers of documents need not wait for it.
    if name == "Reader":
        from foveate.engine.reader import Reader

        return Reader
    if name == "OpticalMemory":
        from foveate.memory.store import OpticalMemory

        return OpticalMemory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
