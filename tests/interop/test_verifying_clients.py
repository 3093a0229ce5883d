"""Clients that trust no gateway get content from ours block by block, and verify it: Helia, in JavaScript."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.interop.nearcasts import Nearcast
from tests.interop.programs import javascript
from tests.interop.samples import MIB, crowded_folder, random_file, small_tree
from tests.interop.servers import gateway

pytestmark = pytest.mark.interop

HELIA = ["@helia/verified-fetch", "@helia/http", "helia", "ipfs-unixfs-exporter"]
RAW_TYPE = "application/vnd.ipld.raw"
RANGE_FIRST, RANGE_LAST = MIB - 3, 2 * MIB + 3  # parts of three leaves
TREE_FILES = ("index.html", "docs/日本語.txt", "docs/a b/deep/large.bin", "nothing")
CROWD_FILES = 3000
LIAR_DEADLINE_MS = 3000  # Helia asks a gateway that was given to it again and again


@dataclass(frozen=True)
class Site:
    """What a running node serves, by name and by path on disk."""

    url: str
    publisher: Nearcast
    roots: Mapping[str, str]
    paths: Mapping[str, Path]

    def crowd_files(self) -> list[str]:
        """Some entries of the HAMT, by path in it."""
        folder = self.paths["crowd"]
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.txt"))
        return [files[0], files[CROWD_FILES // 2], files[-1]]

    def wishes(self) -> dict[str, dict[str, Any]]:
        """What Helia is asked for, by name."""
        tree, crowd = f"ipfs://{self.roots['tree']}", f"ipfs://{self.roots['crowd']}"
        bounds = {"Range": f"bytes={RANGE_FIRST}-{RANGE_LAST}"}
        return {
            "file": {"resource": f"ipfs://{self.roots['file']}"},
            "range": {"resource": f"ipfs://{self.roots['file']}", "headers": bounds},
            **{f"tree/{name}": {"resource": f"{tree}/{quote(name)}"} for name in TREE_FILES},
            **{f"crowd/{name}": {"resource": f"{crowd}/{quote(name)}"} for name in self.crowd_files()},
            "absent": {"resource": f"{tree}/docs/none"},
            "list tree": {"resource": self.roots["tree"], "list": True},
            "list crowd": {"resource": self.roots["crowd"], "list": True},
        }


@pytest.fixture(scope="module")
def site(people: Callable[[str], Nearcast], folder: Path) -> Iterator[Site]:
    publisher = people("publisher")
    paths = {
        "file": random_file(folder / "large.bin", 3 * MIB + 5, seed=6),
        "tree": small_tree(folder / "tree"),
        "crowd": crowded_folder(folder / "crowd", CROWD_FILES, inner=10),
    }
    roots = {name: publisher.add(path) for name, path in paths.items()}
    with publisher.up() as node:
        yield Site(node.url, publisher, roots, paths)


@pytest.fixture(scope="module")
def answers(site: Site) -> Mapping[str, dict[str, Any]]:
    """What Helia got, by the name of the wish, all from one process."""
    wishes = site.wishes()
    got = javascript("verified_fetch.mjs", site.url, wishes=list(wishes.values()), packages=HELIA)
    return dict(zip(wishes, got, strict=True))


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_verified_fetch_gets_a_file(site: Site, answers: Mapping[str, dict[str, Any]]) -> None:
    assert answers["file"]["status"] == 200
    assert answers["file"]["sha256"] == digest(site.paths["file"])


def test_verified_fetch_gets_a_range(site: Site, answers: Mapping[str, dict[str, Any]]) -> None:
    part = site.paths["file"].read_bytes()[RANGE_FIRST : RANGE_LAST + 1]
    assert answers["range"]["status"] == 206
    assert answers["range"]["sha256"] == sha256(part).hexdigest()


@pytest.mark.parametrize("name", TREE_FILES)
def test_verified_fetch_follows_a_path(name: str, site: Site, answers: Mapping[str, dict[str, Any]]) -> None:
    assert answers[f"tree/{name}"]["sha256"] == digest(site.paths["tree"] / name)


def test_verified_fetch_finds_entries_of_a_hamt(site: Site, answers: Mapping[str, dict[str, Any]]) -> None:
    names = site.crowd_files()
    assert [answers[f"crowd/{name}"]["sha256"] for name in names] == [
        digest(site.paths["crowd"] / name) for name in names
    ]


def test_verified_fetch_says_that_a_path_does_not_exist(answers: Mapping[str, dict[str, Any]]) -> None:
    assert answers["absent"]["status"] == 404


@pytest.mark.parametrize("name", ["tree", "crowd"])
def test_helia_lists_a_folder(name: str, site: Site, answers: Mapping[str, dict[str, Any]]) -> None:
    assert sorted(answers[f"list {name}"]["entries"]) == sorted(path.name for path in site.paths[name].iterdir())


def test_every_block_is_handed_out_whole(site: Site, tmp_path: Path) -> None:
    site.publisher.json("export", site.roots["tree"], tmp_path / "tree.car")
    archive = javascript("read_car.mjs", tmp_path / "tree.car", packages=["@ipld/car"])
    checks = javascript("check_blocks.mjs", site.url, wishes=archive["blocks"], packages=["multiformats"])
    for check in checks:
        assert check["verified"], check
        assert (check["status"], check["type"], check["length"]) == (200, RAW_TYPE, check["size"])
        assert check["head"] == {"status": 200, "length": check["size"]}
    assert len(checks) > 10


def test_the_client_really_verifies(site: Site, tmp_path: Path) -> None:
    """The same client, with a gateway that flips a bit, gets nothing: what passed above was verified."""
    root = site.roots["file"]
    site.publisher.json("export", root, tmp_path / "file.car")
    with gateway(tmp_path / "file.car", tmp_path / "log", "--lie") as liar:
        wish = {"resource": f"ipfs://{root}", "deadlineMs": LIAR_DEADLINE_MS}
        [answer] = javascript("verified_fetch.mjs", liar.url, wishes=[wish], packages=HELIA)
        assert liar.requests()
    assert "error" in answer
