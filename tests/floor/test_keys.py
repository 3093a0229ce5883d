"""The identity file: its mode, its torn and foreign contents, two processes that make it at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day

from nearcast.errors import StoreError, UsageError
from nearcast.keys import Identity, identity_from_secret, load_or_create_identity, new_identity, verify

# RFC 8032, section 7.1, test 2
RFC_SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
RFC_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
RFC_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_the_published_vector() -> None:
    identity = identity_from_secret(RFC_SECRET)
    assert identity.endpoint_id == RFC_PUBLIC
    assert identity.sign(b"\x72") == RFC_SIGNATURE
    assert verify(RFC_PUBLIC, b"\x72", RFC_SIGNATURE)


def test_the_secret_is_never_shown() -> None:
    identity = identity_from_secret(RFC_SECRET)
    assert RFC_SECRET.hex() not in repr(identity)
    assert repr(RFC_SECRET) not in repr(identity)
    assert RFC_PUBLIC.hex() in repr(identity)


@pytest.mark.parametrize("size_bytes", [0, 31, 33])
def test_a_key_of_the_wrong_size(size_bytes: int) -> None:
    with pytest.raises(UsageError, match=str(size_bytes)):
        identity_from_secret(bytes(size_bytes))


@by_day(100)
@given(st.binary(max_size=40), st.binary(max_size=10), st.binary(max_size=70))
def test_a_malformed_key_or_signature_is_simply_false(key: bytes, message: bytes, signature: bytes) -> None:
    assert verify(key, message, signature) is False
    assert verify(RFC_PUBLIC, message, signature) is False


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "data" / "identity.key"
    made = load_or_create_identity(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_identity(path) == made
    assert [file.name for file in path.parent.iterdir()] == ["identity.key"]


def test_an_open_umask_does_not_open_the_key(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        load_or_create_identity(tmp_path / "key")
    finally:
        os.umask(previous)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    load_or_create_identity(path)
    path.chmod(mode)
    with pytest.raises(StoreError, match="read by others") as refused:
        load_or_create_identity(path)
    assert refused.value.fix == f"chmod 600 {path}"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"ab" * 31, RFC_SECRET.hex().encode()[:40], b"zz" * 32, b"\xff\xfe" * 32, b"ab" * 33]
)
def test_a_torn_or_foreign_file_is_neither_used_nor_overwritten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StoreError, match="does not hold"):
        load_or_create_identity(path)
    assert path.read_bytes() == content


def test_a_place_where_no_key_can_be_is_one_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    with pytest.raises(StoreError):
        load_or_create_identity(folder)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StoreError):
        load_or_create_identity(file / "key")


def test_what_a_crash_left_behind_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / f"key.{os.getpid()}.new").write_bytes(b"half a k")
    made = load_or_create_identity(tmp_path / "key")
    assert load_or_create_identity(tmp_path / "key") == made


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    program = "import pathlib, sys; from nearcast.keys import *; p = pathlib.Path(sys.argv[1]); sys.stdin.read(); "
    program += "print(load_or_create_identity(p).endpoint_id.hex())"
    command = [sys.executable, "-c", program, str(tmp_path / "key")]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in started:
        assert process.stdin
        process.stdin.close()  # now
    ids = set()
    for process in started:
        with process:
            assert process.stdout
            ids.add(process.stdout.read())
    assert len(ids) == 1
    assert len(ids.pop().strip()) == 64


def test_new_keys_differ() -> None:
    made: set[Identity] = {new_identity() for _ in range(5)}
    assert len(made) == 5
