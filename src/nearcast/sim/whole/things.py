"""What is published in a simulated world: bytes out of the seed, so that the truth about every name is known."""

import random
from dataclasses import dataclass, field
from pathlib import Path

from nearcast.content.cid import Cid


@dataclass(eq=False)
class Thing:
    """One file. `holders` are names of nodes that were told to keep it. `is_free`: given away. `listed_s`: when it
    came onto the blacklist (the loop's time); None: never."""

    number: int
    root: Cid
    data: bytes = field(repr=False)
    holders: list[str]
    is_free: bool = False
    listed_s: float | None = None


def make_file(rng: random.Random, path: Path, least_bytes: int, most_bytes: int) -> bytes:
    """Its bytes. Sizes are spread evenly over their logarithm: there are many small things."""
    size_bytes = int(least_bytes * (most_bytes / least_bytes) ** rng.random())
    data = rng.randbytes(size_bytes)
    path.write_bytes(data)
    return data
