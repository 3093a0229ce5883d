"""A backend's address: what is taken, and that no secret gets in with it."""

from pathlib import Path

import pytest
from tests.content.backends_world import MIB, noise

from nearcast.content.backends.address import parse_backend
from nearcast.content.backends.hashing import LeafDigests
from nearcast.content.backends.tree import Tree, is_hidden
from nearcast.content.cid import raw_cid
from nearcast.errors import UsageError


@pytest.mark.parametrize(
    ("text", "kind", "container", "path"),
    [
        ("s3://bucket/site/a", "s3", "bucket", "site/a"),
        ("s3://bucket", "s3", "bucket", ""),
        ("gs://bucket/x/", "gs", "bucket", "x"),
        ("az://container/x", "az", "container", "x"),
        ("http://127.0.0.1:8080/x/y", "http", "127.0.0.1:8080", "x/y"),
        ("HTTPS://host/", "http", "host", ""),
    ],
)
def test_what_is_an_address(text: str, kind: str, container: str, path: str) -> None:
    address = parse_backend(text)
    assert (address.kind, address.container, address.path) == (kind, container, path)


def test_a_folder_is_meant_as_it_is_seen_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_backend("a/../b").path == str(tmp_path / "b")
    assert parse_backend(f"file://{tmp_path}/b%20c").path == str(tmp_path / "b c")


@pytest.mark.parametrize(
    "text",
    [
        "s3://key:sesame@bucket/x",
        "https://somebody:sesame@host/x",
        "https://sesame@host/x",
        "https://host/x?X-Amz-Signature=sesame",
        "az://container/x?sig=sesame",
        "https://host/x#sesame",
    ],
)
def test_secrets_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_backend(text)
    assert caught.value.fix
    assert "sesame" not in caught.value.message + caught.value.fix


def test_an_endpoint_with_a_secret_is_refused_too() -> None:
    with pytest.raises(UsageError, match="must not contain a name or password"):
        parse_backend("s3://bucket", endpoint="https://key:sesame@host")


@pytest.mark.parametrize(
    "text", ["ftp://host/x", "s3://", "http:///x", "http://[::1/x", "http://host:99999/x", "", "memory:///"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        parse_backend(text)


def test_options_of_s3_are_for_s3_alone() -> None:
    assert parse_backend("s3://b", endpoint="http://127.0.0.1:9000/", region="eu").endpoint == "http://127.0.0.1:9000"
    for text in ("gs://b", "/tmp", "https://host/"):
        with pytest.raises(UsageError, match="for s3:// only"):
            parse_backend(text, endpoint="http://127.0.0.1:9000")


@pytest.mark.parametrize("pieces", [[1], [7, 3 * MIB - 7], [MIB, MIB, MIB], [MIB - 1, 2, 2 * MIB], []])
def test_leaves_do_not_depend_on_how_the_bytes_come(pieces: list[int]) -> None:
    from hashlib import sha256

    data = noise(sum(pieces))
    leaves = LeafDigests()
    position = 0
    for size in pieces:
        leaves.feed(data[position : position + size])
        position += size
    starts = range(0, len(data), MIB) if data else [0]
    assert leaves.digests() == b"".join(sha256(data[start : start + MIB]).digest() for start in starts)


@pytest.mark.parametrize("key", ["/a", "a//b", "a/", "", ".", "a/../b", "./a", "a\0b", "x/" * 300 + "y"])
def test_a_tree_refuses_names_that_lead_elsewhere(key: str) -> None:
    with pytest.raises(UsageError):
        Tree().put(key, raw_cid(bytes(32)), 0)


def test_hidden_is_what_an_import_leaves_out() -> None:
    assert [key for key in ("a", ".a", "a/.b/c", "a.b/c", "a/b.") if is_hidden(key)] == [".a", "a/.b/c"]
