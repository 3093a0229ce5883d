"""The same bytes get the same name from us and from the JavaScript implementations of UnixFS.

ipfs-unixfs-importer knows the profile unixfs-v1-2025 by name. ipfs-car builds on a second encoder, @ipld/unixfs, with
the same leaves and width. They differ in when a folder becomes a HAMT, so that is compared with the first alone.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.interop.nearcasts import Nearcast
from tests.interop.programs import ipfs_car, javascript
from tests.interop.samples import MIB, crowded_folder, random_file, small_tree, sparse_file

pytestmark = pytest.mark.interop

FILES_BYTES = {
    "an empty file": 0,
    "one byte": 1,
    "one leaf": MIB,
    "one byte more than a leaf": MIB + 1,
    "three and a half leaves": 3 * MIB + MIB // 2,
}
LEAVES_OF_TWO_LEVELS = 1025  # one more than fit under one node
HAMT_ENTRIES = 3000
THRESHOLD_BYTES = 262_144  # a folder of unixfs-v1-2025 whose block is larger becomes a HAMT


def folder_with_block_of(folder: Path, size_bytes: int) -> Path:
    """A folder whose block has exactly this size: 4 bytes of its own, and 44 and its name for each one-byte file."""
    name_bytes, overhead_bytes = 60, 44
    entries, longer = divmod(size_bytes - 4, overhead_bytes + name_bytes)
    assert longer < entries
    folder.mkdir()
    for index in range(entries):
        (folder / f"{index:0{name_bytes + (index < longer)}}").write_bytes(b"x")
    return folder


def make_samples(folder: Path) -> Iterator[tuple[str, Path]]:
    for seed, (name, size_bytes) in enumerate(FILES_BYTES.items()):
        yield name, random_file(folder / f"{size_bytes}.bin", size_bytes, seed)
    yield "a tree with unicode names, symlinks and empty folders", small_tree(folder / "tree")
    yield "a HAMT with a HAMT in it", crowded_folder(folder / "crowd", HAMT_ENTRIES, inner=HAMT_ENTRIES)
    yield "a folder as large as one may be", folder_with_block_of(folder / "at", THRESHOLD_BYTES)
    yield "a folder one byte larger", folder_with_block_of(folder / "above", THRESHOLD_BYTES + 1)
    yield "a file of two levels", sparse_file(folder / "large.bin", LEAVES_OF_TWO_LEVELS * MIB + 1)


SAMPLES = (
    *FILES_BYTES,
    "a tree with unicode names, symlinks and empty folders",
    "a HAMT with a HAMT in it",
    "a folder as large as one may be",
    "a folder one byte larger",
    "a file of two levels",
)


@pytest.fixture(scope="module")
def samples(folder: Path) -> Mapping[str, Path]:
    return dict(make_samples(folder))


@pytest.fixture(scope="module")
def theirs(samples: Mapping[str, Path]) -> Mapping[str, tuple[str, str]]:
    """Their name for each sample, and what kind of UnixFS node has it."""
    jobs = [{"path": str(path), "profile": "unixfs-v1-2025"} for path in samples.values()]
    made = javascript("write_unixfs.mjs", wishes=jobs, packages=["ipfs-unixfs-importer"])
    return dict(zip(samples, ((each["cid"], each["kind"]) for each in made), strict=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_name_is_the_one_ipfs_unixfs_importer_gives(
    name: str, samples: Mapping[str, Path], theirs: Mapping[str, tuple[str, str]], publisher: Nearcast
) -> None:
    in_place = ["--in-place"] if samples[name].stat().st_size > MIB * LEAVES_OF_TWO_LEVELS else []
    assert publisher.add(samples[name], *in_place) == theirs[name][0]


def test_the_samples_are_what_they_are_called(
    samples: Mapping[str, Path], theirs: Mapping[str, tuple[str, str]]
) -> None:
    assert sorted(samples) == sorted(SAMPLES)
    assert len(set(theirs.values())) == len(SAMPLES)
    kinds = {name: kind for name, (_, kind) in theirs.items()}
    assert kinds["a folder as large as one may be"] == "directory"
    assert kinds["a folder one byte larger"] == kinds["a HAMT with a HAMT in it"] == "hamt-sharded-directory"


@pytest.mark.parametrize("name", [name for name in FILES_BYTES if name != "an empty file"])
def test_the_name_of_a_file_is_the_one_ipfs_car_gives(
    name: str, samples: Mapping[str, Path], publisher: Nearcast, tmp_path: Path
) -> None:
    said = ipfs_car("pack", samples[name], "--no-wrap", "--output", tmp_path / "packed.car")
    assert publisher.add(samples[name]) == said


def test_the_name_of_a_file_in_a_folder_is_the_one_ipfs_car_gives(
    samples: Mapping[str, Path], people: Callable[[str], Nearcast], tmp_path: Path
) -> None:
    wrapped = people("wrapper").add(samples["three and a half leaves"], "--wrap")
    packed = ipfs_car("pack", samples["three and a half leaves"], "--output", tmp_path / "packed.car")
    assert wrapped == packed
