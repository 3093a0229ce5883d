"""How deep Python may recurse: deep while contracts run, as usual at all other times.

py-evm raises the limit of the whole process when it is imported. With that limit, JSON of brackets alone overflows the
C stack of a thread and ends the process, so the usual one is put back, and raised only around the machine.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

USUAL: Final = 1_000  # CPython's
RECURSION_MAX: Final = 12 * 1_024  # py-evm's own: a dozen frames for each of 1024 calls within calls

importlib.import_module("eth")  # now, so that no later import raises the limit again
sys.setrecursionlimit(USUAL)


@contextmanager
def deep() -> Iterator[None]:
    """Room for contracts that call contracts, inside of the block."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, RECURSION_MAX))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
