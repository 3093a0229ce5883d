"""Clients that trust no gateway get content from ours block by block, and verify it: Helia, in JavaScript."""

from collections.abc import Callable, Iterator
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
CROWD = 3000
RAW_TYPE = "application/vnd.ipld.raw"


@dataclass(frozen=True)
class Site:
    """What a running node serves, by name and by path on disk."""

    url: str
    publisher: Nearcast
    roots: dict[str, str]
    paths: dict[str, Path]

    def fetch(self, *wishes: dict[str, Any]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = javascript("verified_fetch.mjs", self.url, wishes=wishes, packages=HELIA)
        return answers


@pytest.fixture(scope="module")
def site(people: Callable[[str], Nearcast], folder: Path) -> Iterator[Site]:
    publisher = people("publisher")
    paths = {
        "file": random_file(folder / "large.bin", 3 * MIB + 5, seed=6),
        "tree": small_tree(folder / "tree"),
        "crowd": crowded_folder(folder / "crowd", CROWD),
    }
    roots = {name: publisher.add(path) for name, path in paths.items()}
    with publisher.up() as node:
        yield Site(node.url, publisher, roots, paths)


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_verified_fetch_gets_a_file(site: Site) -> None:
    [answer] = site.fetch({"resource": f"ipfs://{site.roots['file']}"})
    assert (answer["status"], answer["sha256"]) == (200, digest(site.paths["file"]))


def test_verified_fetch_gets_a_range(site: Site) -> None:
    first, last = MIB - 3, 2 * MIB + 3
    wish = {"resource": f"ipfs://{site.roots['file']}", "headers": {"Range": f"bytes={first}-{last}"}}
    [answer] = site.fetch(wish)
    part = site.paths["file"].read_bytes()[first : last + 1]
    assert (answer["status"], answer["sha256"]) == (206, sha256(part).hexdigest())


def test_verified_fetch_follows_paths(site: Site) -> None:
    names = ["index.html", "docs/日本語.txt", "docs/a b/deep/large.bin", "nothing"]
    answers = site.fetch(*({"resource": f"ipfs://{site.roots['tree']}/{quote(name)}"} for name in names))
    expected = [(200, digest(site.paths["tree"] / name)) for name in names]
    assert [(answer["status"], answer["sha256"]) for answer in answers] == expected


def test_verified_fetch_says_that_a_path_does_not_exist(site: Site) -> None:
    [answer] = site.fetch({"resource": f"ipfs://{site.roots['tree']}/docs/none"})
    assert answer["status"] == 404


def test_verified_fetch_finds_entries_of_a_hamt(site: Site) -> None:
    files = sorted(path for path in site.paths["crowd"].rglob("*.txt"))
    some = [files[0], files[len(files) // 2], files[-1]]
    names = [path.relative_to(site.paths["crowd"]).as_posix() for path in some]
    assert any(name.startswith("inner/") for name in names)
    answers = site.fetch(*({"resource": f"ipfs://{site.roots['crowd']}/{quote(name)}"} for name in names))
    assert [answer.get("sha256") for answer in answers] == [digest(path) for path in some]


@pytest.mark.parametrize("name", ["tree", "crowd"])
def test_helia_lists_a_folder(name: str, site: Site) -> None:
    [answer] = site.fetch({"resource": site.roots[name], "list": True})
    assert sorted(answer["entries"]) == sorted(path.name for path in site.paths[name].iterdir())


def test_every_block_is_handed_out_whole(site: Site, tmp_path: Path) -> None:
    site.publisher.json("export", site.roots["tree"], tmp_path / "tree.car")
    archive = javascript("read_car.mjs", tmp_path / "tree.car", packages=["@ipld/car"])
    answers = javascript("check_blocks.mjs", site.url, wishes=archive["blocks"], packages=["multiformats"])
    for answer in answers:
        assert answer["verified"], answer
        assert (answer["status"], answer["type"], answer["length"]) == (200, RAW_TYPE, answer["size"])
        assert answer["head"] == {"status": 200, "length": answer["size"]}
    assert len(answers) > 10


def test_the_client_really_verifies(site: Site, tmp_path: Path) -> None:
    """The same client, with a gateway that flips a bit, gets nothing: what passed above was verified."""
    root = site.roots["file"]
    site.publisher.json("export", root, tmp_path / "file.car")
    with gateway(tmp_path / "file.car", tmp_path / "log", "--lie") as liar:
        wish = {"resource": f"ipfs://{root}", "headers": {}, "deadlineMs": 3000}
        [answer] = javascript("verified_fetch.mjs", liar.url, wishes=[wish], packages=HELIA)
    assert answer.get("sha256") != digest(site.paths["file"])
    assert "error" in answer
