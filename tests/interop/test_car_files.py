"""CAR files in both directions: ours are read by @ipld/car and ipfs-car, theirs by us, and broken ones are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interop.nearcasts import Nearcast
from tests.interop.programs import ipfs_car, javascript
from tests.interop.samples import MIB, contents, crowded_folder, random_file, small_tree

pytestmark = pytest.mark.interop

READERS = ["@ipld/car", "@ipld/dag-pb", "ipfs-unixfs-exporter", "multiformats"]
INTEGRITY_EXIT_CODE = 5


@pytest.fixture(scope="module")
def tree(folder: Path) -> Path:
    return small_tree(folder / "tree")


@pytest.fixture(scope="module")
def large_file(folder: Path) -> Path:
    return random_file(folder / "large.bin", 5 * MIB + 3, seed=4)


@pytest.fixture(scope="module")
def crowd(folder: Path) -> Path:
    return crowded_folder(folder / "crowd", files=3000, inner=10)


def without_symlinks(place: Path) -> dict[str, str]:
    return {name: what for name, what in contents(place).items() if not what.startswith("->")}


@pytest.mark.parametrize(
    ("sample", "kind"), [("tree", "directory"), ("large_file", "file"), ("crowd", "hamt-sharded-directory")]
)
def test_ipld_car_reads_what_we_export(
    sample: str, kind: str, request: pytest.FixtureRequest, publisher: Nearcast, tmp_path: Path
) -> None:
    path: Path = request.getfixturevalue(sample)
    root = publisher.add(path)
    publisher.json("export", root, tmp_path / "ours.car")
    said = javascript("read_car.mjs", tmp_path / "ours.car", tmp_path / "unpacked", packages=READERS)
    assert (said["roots"], said["kind"]) == ([root], kind)
    assert said["order"] == "dfs", "each block once, depth first"
    assert contents(tmp_path / "unpacked") == contents(path)


@pytest.mark.parametrize("sample", ["large_file", "crowd"])
def test_ipfs_car_unpacks_what_we_export(
    sample: str, request: pytest.FixtureRequest, publisher: Nearcast, tmp_path: Path
) -> None:
    path: Path = request.getfixturevalue(sample)
    root = publisher.add(path)
    publisher.json("export", root, tmp_path / "ours.car")
    assert ipfs_car("roots", tmp_path / "ours.car") == root
    ipfs_car("unpack", tmp_path / "ours.car", "--verify", "--output", tmp_path / "unpacked")
    assert contents(tmp_path / "unpacked") == contents(path)


def test_what_we_export_to_stdout_is_the_same_archive(publisher: Nearcast, tree: Path, tmp_path: Path) -> None:
    root = publisher.add(tree)
    publisher.json("export", root, tmp_path / "ours.car")
    assert publisher("export", root, "-") == (tmp_path / "ours.car").read_bytes()


def test_we_read_what_ipfs_car_packs(people: Callable[[str], Nearcast], tree: Path, tmp_path: Path) -> None:
    root = ipfs_car("pack", tree, "--output", tmp_path / "theirs.car")
    reader = people("reader")
    assert reader.json("import", tmp_path / "theirs.car")["cids"] == [root]
    reader.get(f"{root}/{tree.name}" if _is_wrapped(reader, root, tree) else root, tmp_path / "got")
    followed = {name: what for name, what in contents(tmp_path / "got").items() if name in without_symlinks(tree)}
    expected = {name: what for name, what in without_symlinks(tree).items() if name != "empty"}
    assert followed == expected, "ipfs-car leaves out empty folders, and follows symlinks"


def _is_wrapped(reader: Nearcast, root: str, tree: Path) -> bool:
    return tree.name.encode() in reader("ls", root)


def test_what_ipfs_car_packs_we_export_again(
    people: Callable[[str], Nearcast], large_file: Path, tmp_path: Path
) -> None:
    root = ipfs_car("pack", large_file, "--no-wrap", "--output", tmp_path / "theirs.car")
    reader = people("reader")
    reader.json("import", tmp_path / "theirs.car")
    reader.json("export", root, tmp_path / "ours.car")
    said = javascript("read_car.mjs", tmp_path / "ours.car", tmp_path / "unpacked", packages=READERS)
    assert said["roots"] == [root]
    assert contents(tmp_path / "unpacked") == contents(large_file)


@pytest.mark.parametrize("harm", ["a flipped bit", "a missing end"])
def test_a_broken_archive_of_theirs_leaves_nothing_behind(
    harm: str, people: Callable[[str], Nearcast], large_file: Path, tmp_path: Path
) -> None:
    root = ipfs_car("pack", large_file, "--no-wrap", "--output", tmp_path / "theirs.car")
    data = bytearray((tmp_path / "theirs.car").read_bytes())
    if harm == "a flipped bit":
        data[len(data) // 2] ^= 1
    else:
        del data[-100:]
    (tmp_path / "broken.car").write_bytes(data)
    reader = people("reader")
    reader("import", tmp_path / "broken.car", code=INTEGRITY_EXIT_CODE)
    reader.json("import", tmp_path / "theirs.car")
    reader.get(root, tmp_path / "got")
    assert contents(tmp_path / "got") == contents(large_file)
