"""The requests that Kubo sends to an HTTP provider, replayed with curl: Kubo fetches from us by single raw blocks.

Source: boxo, bitswap/network/httpnet. It probes with the empty identity block, asks with HEAD who has a block, gets it
with GET, takes at most 2 KiB of response headers, and counts redirects and 404 as "does not have it".
"""

from base64 import b32decode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from tests.interop.nearcasts import Nearcast, Running
from tests.interop.programs import javascript, program, run
from tests.interop.samples import small_tree

pytestmark = pytest.mark.interop

PROBE = "bafkqaaa"
ABSENT = "bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
HEADERS_BYTES_MAX = 2 << 10  # MaxResponseHeaderBytes of its transport
RAW_TYPE = "application/vnd.ipld.raw"


@pytest.fixture(scope="module")
def tree(folder: Path) -> Path:
    return small_tree(folder / "tree")


@pytest.fixture(scope="module")
def blocks(publisher: Nearcast, tree: Path, folder: Path) -> list[str]:
    """The CIDs of all blocks of the tree."""
    publisher.json("export", publisher.add(tree), folder / "tree.car")
    read = javascript("read_car.mjs", folder / "tree.car", packages=["@ipld/car"])
    return [str(cid) for cid in read["blocks"]]


@pytest.fixture(scope="module")
def node(blocks: list[str], publisher: Nearcast) -> Iterator[Running]:
    with publisher.up() as running:
        yield running


def ask(node: Running, cid: str, *options: str) -> tuple[str, bytes]:
    """The status and, of GET, the body; of HEAD the headers."""
    command = [program("curl"), "--silent", "--show-error", "--noproxy", "*", "--user-agent", "kubo/0.42.0"]
    command += ["--header", f"Accept: {RAW_TYPE}", "--max-redirs", "0"]
    command += ["--write-out", "\n%{http_code}", *options, f"{node.url}/ipfs/{cid}?format=raw"]
    body, _, status = run(command).rpartition(b"\n")
    return status.decode(), body


@pytest.mark.parametrize("options", [["--head"], []], ids=["HEAD", "GET"])
def test_the_probe_is_answered(options: list[str], node: Running) -> None:
    status, body = ask(node, PROBE, *options)
    assert status == "200"
    assert options or body == b""


def test_who_has_a_block_says_so_and_gives_it(node: Running, blocks: list[str]) -> None:
    assert len(blocks) > 10
    for cid in blocks[:10]:
        status, headers = ask(node, cid, "--head")
        assert status == "200"
        assert len(headers) <= HEADERS_BYTES_MAX
        status, body = ask(node, cid)
        assert status == "200"
        assert f"content-length: {len(body)}" in headers.decode().lower()
        assert _bytes_of(cid).endswith(sha256(body).digest())


def test_who_lacks_a_block_says_so(node: Running) -> None:
    assert ask(node, ABSENT, "--head")[0] == "404"
    assert ask(node, ABSENT)[0] == "404"


def test_who_may_not_fetch_says_so(node: Running) -> None:
    assert ask(node, ABSENT, "--header", "Cache-Control: only-if-cached")[0] == "412"


def _bytes_of(cid: str) -> bytes:
    """The bytes of a CIDv1 in base32, which end with its digest."""
    text = cid[1:].upper()
    return b32decode(text + "=" * (-len(text) % 8))
