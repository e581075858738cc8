"""Optical memory: long text and documents kept as pages that fade, found again and read back.

store.py      `OpticalMemory`, the room's door   shelf.py   what lies there   records.py   what it gives back
index.py      the SQLite file   blobs.py   files beside it   change.py   both together   rows.py, settings.py
paging.py     text and files to pages   vision.py   vision tokens, packed, and read without pixels
recall.py     reading, and reading back   find.py   the index of what was read   gist.py   keywords
schedule.py   when pages fade   fading.py   how they do   merging.py   several old pages on one
context.py    what fits into a budget   sizes.py   what it all takes   picture.py   pages as they fade
"""

from typing import TYPE_CHECKING, Any

from foveate.memory.records import Entry, Found, MemoryPage, Recalled, Sizes

if TYPE_CHECKING:
    from foveate.memory.context import Context
    from foveate.memory.fading import Faded
    from foveate.memory.schedule import Schedule
    from foveate.memory.store import OpticalMemory

__all__ = [
    "Context",
    "Entry",
    "Faded",
    "Found",
    "MemoryPage",
    "OpticalMemory",
    "Recalled",
    "Schedule",
    "Sizes",
]
_HOMES = {"Context": "context", "Faded": "fading", "OpticalMemory": "store", "Schedule": "schedule"}


def __getattr__(name: str) -> Any:
    # A name is looked up when it is used, so that the rooms beside the store load without it.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"foveate.memory.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
