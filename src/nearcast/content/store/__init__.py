"""Where content lies on this machine. `store.py` is the door; start there."""

from nearcast.content.store.batch import Batch
from nearcast.content.store.partial import Partial
from nearcast.content.store.store import Store
from nearcast.content.store.types import (
    Extent,
    FileGuard,
    Kind,
    Listener,
    ObjectStat,
    Pin,
    ScrubReport,
    Usage,
    guard_of,
)

__all__ = [
    "Batch",
    "Extent",
    "FileGuard",
    "Kind",
    "Listener",
    "ObjectStat",
    "Partial",
    "Pin",
    "ScrubReport",
    "Store",
    "Usage",
    "guard_of",
]
