"""`nearcast get` takes bytes from web servers that know nothing of us, next to a node or alone, and believes none.

nginx holds the same file as a node, half of it, or one with flipped bits; a trustless gateway in JavaScript holds the
blocks of a DAG.
"""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.interop.nearcasts import Nearcast, Running
from tests.interop.programs import javascript
from tests.interop.samples import KIB, MIB, contents, crowded_folder, random_file, small_tree
from tests.interop.servers import gateway, nginx

pytestmark = pytest.mark.interop

SIZE_BYTES = 48 * MIB + 5
NOT_FOUND_EXIT_CODE, LIAR_EXIT_CODE = 3, 5
WRITER = ["ipfs-unixfs-importer", "@ipld/car"]


@dataclass(frozen=True)
class Origin:
    """A file, the node that has it, and an nginx that has copies of it, good and bad."""

    node: Running
    nginx_url: str
    path: Path
    root: str

    @property
    def link(self) -> str:
        return f"nearcast://{self.node.peer}/{self.root}"


@pytest.fixture(scope="module")
def origin(people: Callable[[str], Nearcast], folder: Path) -> Iterator[Origin]:
    web = folder / "web"
    web.mkdir()
    path = random_file(web / "good.bin", SIZE_BYTES, seed=7)
    data = bytearray(path.read_bytes())
    (web / "short.bin").write_bytes(data[: SIZE_BYTES // 2])
    for at in range(MIB // 2, SIZE_BYTES, MIB):  # a wrong bit in every leaf, so that each one asked for shows it
        data[at] ^= 1
    (web / "bad.bin").write_bytes(data)
    publisher = people("publisher")
    root = publisher.add(path)
    with publisher.up() as node, nginx(web, free_port()) as url:
        yield Origin(node, url, path, root)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def bytes_from(report: dict[str, Any], name: str) -> int:
    """How much came from the sources whose name contains `name`."""
    return sum(count for source, count in report["sources"].items() if name in source)


def test_a_node_and_nginx_share_the_work(origin: Origin, people: Callable[[str], Nearcast], tmp_path: Path) -> None:
    report = people("reader").get(origin.link, tmp_path / "got", "--from", f"{origin.nginx_url}/good.bin")
    assert contents(tmp_path / "got") == contents(origin.path)
    from_nginx = bytes_from(report, origin.nginx_url)
    assert 0 < from_nginx < report["verified"], report["sources"]
    assert len(report["sources"]) == 2
    assert report["liars"] == []


def test_nginx_with_flipped_bits_is_named_and_the_node_gives_the_rest(
    origin: Origin, people: Callable[[str], Nearcast], tmp_path: Path
) -> None:
    bad = f"{origin.nginx_url}/bad.bin"
    report = people("reader").get(origin.link, tmp_path / "got", "--from", bad)
    assert contents(tmp_path / "got") == contents(origin.path)
    assert report["liars"] == [bad]
    assert bytes_from(report, origin.nginx_url) == 0


@pytest.mark.parametrize("name", ["short.bin", "absent.bin"])
def test_nginx_with_another_file_or_none_is_left_out(
    name: str, origin: Origin, people: Callable[[str], Nearcast], tmp_path: Path
) -> None:
    report = people("reader").get(origin.link, tmp_path / "got", "--from", f"{origin.nginx_url}/{name}")
    assert contents(tmp_path / "got") == contents(origin.path)
    assert bytes_from(report, origin.nginx_url) == 0
    assert f"{origin.nginx_url}/{name}" in report["failed"]


def test_two_copies_on_nginx_give_all_leaves_once_the_nodes_are_known(
    origin: Origin, people: Callable[[str], Nearcast], tmp_path: Path
) -> None:
    """One of them lies. The node is not among the sources of the second half: it gave the first, and went."""
    reader = people("reader")
    reader.get(origin.link, tmp_path / "first", "--range", f"0-{MIB}")
    urls = ["--from", f"{origin.nginx_url}/good.bin", "--from", f"{origin.nginx_url}/bad.bin"]
    report = reader.get(f"nearcast:///{origin.root}", tmp_path / "got", *urls)
    assert contents(tmp_path / "got") == contents(origin.path)
    assert report["liars"] == [f"{origin.nginx_url}/bad.bin"]
    assert list(report["sources"]) == [f"{origin.nginx_url}/good.bin"]


SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "our own profile": ("file", {"profile": "unixfs-v1-2025"}),
    "v0-2015": ("file", {"profile": "unixfs-v0-2015"}),
    "trickle": ("file", {"layout": "trickle", "leaves": "raw", "chunkBytes": 64 * KIB, "width": 4, "repeat": 2}),
    "a tree": ("tree", {"profile": "unixfs-v1-2025"}),
    "a HAMT": ("crowd", {"profile": "unixfs-v1-2025", "shardAboveBytes": 5000}),
}


@pytest.fixture(scope="module")
def paths(folder: Path) -> dict[str, Path]:
    return {
        "file": random_file(folder / "file.bin", 3 * MIB + 9, seed=8),
        "tree": small_tree(folder / "tree"),
        "crowd": crowded_folder(folder / "crowd", files=150, inner=100),
    }


@pytest.fixture(scope="module")
def archives(paths: dict[str, Path], folder: Path) -> dict[str, tuple[str, Path]]:
    """(root, CAR file) of each shape."""
    cars = [folder / f"{index}.car" for index in range(len(SHAPES))]
    jobs = [
        {"path": str(paths[name]), "car": str(car), **settings}
        for car, (name, settings) in zip(cars, SHAPES.values(), strict=True)
    ]
    made = javascript("write_unixfs.mjs", wishes=jobs, packages=WRITER)
    return {shape: (each["cid"], car) for shape, each, car in zip(SHAPES, made, cars, strict=True)}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_trustless_gateway_is_the_only_source(
    shape: str,
    paths: dict[str, Path],
    archives: dict[str, tuple[str, Path]],
    people: Callable[[str], Nearcast],
    tmp_path: Path,
) -> None:
    root, car = archives[shape]
    with gateway(car, tmp_path / "log") as theirs:
        report = people("reader").get(root, tmp_path / "got", "--from", f"{theirs.url}/ipfs/{root}")
        asked = theirs.requests()
    assert contents(tmp_path / "got") == contents(paths[SHAPES[shape][0]])
    assert bytes_from(report, theirs.url) == report["verified"]
    assert {request["status"] for request in asked} == {200}


def test_a_gateway_url_is_a_link_by_itself(
    paths: dict[str, Path],
    archives: dict[str, tuple[str, Path]],
    people: Callable[[str], Nearcast],
    tmp_path: Path,
) -> None:
    root, car = archives["a tree"]
    with gateway(car, tmp_path / "log") as theirs:
        people("reader").get(f"{theirs.url}/ipfs/{root}/docs/a%20b", tmp_path / "got")
    assert contents(tmp_path / "got") == contents(paths["tree"] / "docs" / "a b")


def test_a_gateway_that_lies_is_found_out(
    archives: dict[str, tuple[str, Path]], people: Callable[[str], Nearcast], tmp_path: Path
) -> None:
    root, car = archives["our own profile"]
    with gateway(car, tmp_path / "log", "--lie") as theirs:
        url = f"{theirs.url}/ipfs/{root}"
        got = tmp_path / "got"
        error = people("reader").refusal("get", root, got, "--from", url, code=LIAR_EXIT_CODE)
    assert theirs.url in error["message"]
    assert "do not hash" in error["message"]
    assert not (tmp_path / "got").exists()


def test_a_gateway_that_lacks_a_block_is_not_waited_for(
    archives: dict[str, tuple[str, Path]], people: Callable[[str], Nearcast], tmp_path: Path
) -> None:
    """A gateway of something else says 404, and the reader is told at once."""
    root = archives["our own profile"][0]
    with gateway(archives["a tree"][1], tmp_path / "log") as theirs:
        url = f"{theirs.url}/ipfs/{root}"
        people("reader").refusal("get", root, tmp_path / "got", "--from", url, code=NOT_FOUND_EXIT_CODE)
    assert not (tmp_path / "got").exists()
