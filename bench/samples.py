"""Files to measure with: random bytes, which nothing can compress or deduplicate."""

import os
import random
from pathlib import Path

MIB = 1 << 20


def random_file(path: Path, size_bytes: int, seed: int = 1) -> Path:
    """A file of `size_bytes` random bytes; written, so that its pages are in memory."""
    rng = random.Random(seed)
    with path.open("wb") as file:
        for start in range(0, size_bytes, MIB):
            file.write(rng.randbytes(min(MIB, size_bytes - start)))
    return path


def small_files(folder: Path, count: int, size_bytes: int, *, per_folder: int = 1000, seed: int = 2) -> Path:
    """`count` different files of `size_bytes`, `per_folder` in each subfolder."""
    rng = random.Random(seed)
    for first in range(0, count, per_folder):
        inner = folder / f"{first:07}"
        inner.mkdir(parents=True)
        for index in range(first, min(first + per_folder, count)):
            descriptor = os.open(inner / f"{index:07}.dat", os.O_WRONLY | os.O_CREAT)
            os.write(descriptor, rng.randbytes(size_bytes))
            os.close(descriptor)
    return folder
