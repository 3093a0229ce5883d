"""What others write, we read: every shape of DAG that ipfs-unixfs-importer can be told to make comes back byte by byte.

It writes the DAG into a CAR file; `nearcast import` takes it, and `nearcast cat` or `nearcast get` gives the content.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.interop.nearcasts import Nearcast
from tests.interop.programs import javascript
from tests.interop.samples import KIB, MIB, contents, crowded_folder, random_file, small_tree

pytestmark = pytest.mark.interop

V0_LEAF_BYTES, V0_WIDTH = 256 * KIB, 174
SAMPLES = ("two levels of v0", "a file", "a small file", "a tree", "a crowded folder")
V0 = {"profile": "unixfs-v0-2015"}
V1 = {"profile": "unixfs-v1-2025"}
SMALL = {"chunkBytes": 16 * KIB, "width": 4, "repeat": 2}

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "v0-2015 with two levels": ("two levels of v0", V0),
    "v0-2015 in a single node": ("a small file", V0),
    "v0 names over raw leaves": ("a file", {"cidVersion": 0, "leaves": "raw", "chunkBytes": V0_LEAF_BYTES}),
    "trickle over raw leaves": ("a file", {"layout": "trickle", "leaves": "raw", **SMALL}),
    "trickle as Kubo writes it": ("a file", {"layout": "trickle", "leaves": "pb", "leafType": "raw", **SMALL, **V0}),
    "balanced and narrow": ("a file", {"layout": "balanced", "leaves": "pb", "cidVersion": 1, **SMALL}),
    "leaves of 2 MiB": ("two levels of v0", {"chunkBytes": 2 * MIB, "leaves": "raw"}),
    "chunks cut by content": ("a file", {"chunker": "rabin", "chunkBytes": 64 * KIB}),
    "a mode and a time": ("a file", {**V1, "mode": 0o640, "mtime": 1_700_000_000}),
    "a mode and a time around one leaf": ("a small file", {**V1, "mode": 0o600, "mtime": 1}),
}
FOLDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "v0-2015": ("a tree", V0),
    "v1-2025": ("a tree", V1),
    "v0-2015 in a HAMT": ("a crowded folder", {**V0, "shardAboveBytes": 10_000}),
    "a HAMT 16 wide": ("a crowded folder", {**V1, "shardAboveBytes": 10_000, "fanoutBits": 4}),
    "a HAMT 1024 wide": ("a crowded folder", {**V1, "shardAboveBytes": 10_000, "fanoutBits": 10}),
    "a HAMT of every folder": ("a tree", {**V1, "shardAboveBytes": 0}),
    "modes and times": ("a tree", {**V1, "mode": 0o750, "mtime": 1_700_000_000}),
}


def make_samples(folder: Path) -> dict[str, Path]:
    crowd = crowded_folder(folder / "crowd", files=400, inner=300)
    return {
        "two levels of v0": random_file(folder / "large.bin", V0_LEAF_BYTES * (V0_WIDTH + 2) + 5, seed=1),
        "a file": random_file(folder / "file.bin", MIB + 12_345, seed=2),
        "a small file": random_file(folder / "small.bin", 999, seed=3),
        "a tree": small_tree(folder / "tree"),
        "a crowded folder": crowd,
    }


@pytest.fixture(scope="module")
def samples(folder: Path) -> Mapping[str, Path]:
    return make_samples(folder)


@pytest.fixture(scope="module")
def archives(samples: Mapping[str, Path], folder: Path) -> Mapping[str, tuple[str, Path]]:
    """(root, CAR file) of every case, written in one go."""
    cases = {**{f"file: {k}": v for k, v in FILES.items()}, **{f"folder: {k}": v for k, v in FOLDERS.items()}}
    cars = [folder / f"{index}.car" for index in range(len(cases))]
    jobs = [
        {"path": str(samples[sample]), "car": str(car), **settings}
        for car, (sample, settings) in zip(cars, cases.values(), strict=True)
    ]
    made = javascript("write_unixfs.mjs", wishes=jobs, packages=["ipfs-unixfs-importer", "@ipld/car"])
    for job, each in zip(jobs, made, strict=True):
        assert ("shardAboveBytes" in job) == (each["kind"] == "hamt-sharded-directory"), job
    roots = [str(each["cid"]) for each in made]
    return dict(zip(cases, zip(roots, cars, strict=True), strict=True))


@pytest.mark.parametrize("case", FILES)
def test_a_file_in_their_shape_comes_back(
    case: str, samples: Mapping[str, Path], archives: Mapping[str, tuple[str, Path]], publisher: Nearcast
) -> None:
    root, car = archives[f"file: {case}"]
    assert publisher.json("import", car)["cids"] == [root]
    assert publisher("cat", root) == samples[FILES[case][0]].read_bytes()


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_in_their_shape_comes_back(
    case: str,
    samples: Mapping[str, Path],
    archives: Mapping[str, tuple[str, Path]],
    publisher: Nearcast,
    tmp_path: Path,
) -> None:
    root, car = archives[f"folder: {case}"]
    assert publisher.json("import", car)["cids"] == [root]
    publisher.get(root, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(samples[FOLDERS[case][0]])


def test_the_shapes_differ(archives: Mapping[str, tuple[str, Path]]) -> None:
    assert len({root for root, _ in archives.values()}) == len(FILES) + len(FOLDERS)


def test_a_part_of_a_file_in_their_shape_comes_back(
    samples: Mapping[str, Path], archives: Mapping[str, tuple[str, Path]], publisher: Nearcast, tmp_path: Path
) -> None:
    root, car = archives["file: trickle as Kubo writes it"]
    publisher.json("import", car)
    first, last = 3 * 16 * KIB - 10, 700 * KIB
    publisher.get(root, tmp_path / "part", "--range", f"{first}-{last}")
    assert (tmp_path / "part").read_bytes() == samples["a file"].read_bytes()[first : last + 1]
