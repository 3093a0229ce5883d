"""The wallet's file: other tools open it, we open theirs, and whatever is wrong with it is said in a line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from tests.chain.parties import PAYER

from nearcast.chain.keystore import create_keystore, keystore_address, open_keystore
from nearcast.errors import WalletError

QUICK_N = 2  # the least that scrypt takes
PASSWORD = "correct horse battery staple ünï"

# The test vectors of the Web3 Secret Storage page; password "testpassword".
SECRET = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
PBKDF2 = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}
SCRYPT = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
        "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32,
            "n": 262144,
            "p": 8,
            "r": 1,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
        },
        "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}


@pytest.fixture
def wallet(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "wallet.json"
    create_keystore(path, PAYER, PASSWORD, scrypt_n=QUICK_N)
    return path


def write(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


def test_it_is_opened_again(wallet: Path) -> None:
    assert open_keystore(wallet, PASSWORD).secret == PAYER.secret
    assert keystore_address(wallet) == PAYER.address
    assert wallet.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in wallet.parent.iterdir()] == ["wallet.json"]
    assert PAYER.secret.hex() not in wallet.read_text()


def test_other_tools_open_ours(wallet: Path) -> None:
    assert bytes(Account.decrypt(wallet.read_text(), PASSWORD)) == PAYER.secret


@pytest.mark.parametrize(("kdf", "iterations"), [("scrypt", 2), ("pbkdf2", 2)])
def test_we_open_those_of_other_tools(tmp_path: Path, kdf: Any, iterations: int) -> None:
    theirs = Account.encrypt(PAYER.secret, PASSWORD, kdf=kdf, iterations=iterations)
    path = write(tmp_path / "theirs.json", theirs)
    assert open_keystore(path, PASSWORD).secret == PAYER.secret
    assert keystore_address(path) == PAYER.address


@pytest.mark.parametrize("document", [PBKDF2, SCRYPT], ids=["pbkdf2", "scrypt"])
def test_the_published_vectors(tmp_path: Path, document: dict[str, Any]) -> None:
    path = write(tmp_path / "vector.json", document)
    assert open_keystore(path, "testpassword").secret.hex() == SECRET
    with pytest.raises(WalletError, match="address"):
        keystore_address(path)  # the vectors have none


def test_names_with_capitals_as_of_old_tools(tmp_path: Path) -> None:
    document = {"Crypto": PBKDF2["crypto"], "version": 3}
    assert open_keystore(write(tmp_path / "old.json", document), "testpassword").secret.hex() == SECRET


def test_the_cost_is_geth_s_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "wallet.json"
    create_keystore(path, PAYER, PASSWORD)
    parameters = json.loads(path.read_text())["crypto"]["kdfparams"]
    assert (parameters["n"], parameters["r"], parameters["p"]) == (262_144, 8, 1)
    assert open_keystore(path, PASSWORD).address == PAYER.address


def test_a_wrong_password(wallet: Path) -> None:
    before = wallet.read_bytes()
    for wrong in ("", PASSWORD + " ", PASSWORD.upper()):
        with pytest.raises(WalletError, match="not the password") as caught:
            open_keystore(wallet, wrong)
        assert caught.value.fix is not None
        assert wrong == "" or wrong not in str(caught.value)
    assert wallet.read_bytes() == before


def test_none_there(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="no wallet") as caught:
        open_keystore(tmp_path / "absent.json", PASSWORD)
    assert caught.value.fix == "make one: nearcast wallet create"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o666])
def test_readable_by_others(wallet: Path, mode: int) -> None:
    wallet.chmod(mode)
    with pytest.raises(WalletError, match=f"mode {mode:o}") as caught:
        open_keystore(wallet, PASSWORD)
    assert caught.value.fix == f"chmod 600 {wallet}"
    with pytest.raises(WalletError, match="read by others"):
        keystore_address(wallet)


def test_an_existing_wallet_is_never_replaced(wallet: Path) -> None:
    before = wallet.read_bytes()
    with pytest.raises(WalletError, match="already"):
        create_keystore(wallet, PAYER, "another", scrypt_n=QUICK_N)
    assert wallet.read_bytes() == before


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WalletError, match="cannot be written"):
        create_keystore(tmp_path / "file" / "wallet.json", PAYER, PASSWORD, scrypt_n=QUICK_N)
    with pytest.raises(WalletError, match="cannot be read"):
        open_keystore(tmp_path, PASSWORD)


CREATE = """
import sys
from pathlib import Path
from nearcast.chain.keystore import create_keystore
from nearcast.chain.signing import Signer
sys.stdin.read(1)
create_keystore(Path(sys.argv[1]), Signer(bytes.fromhex(sys.argv[2])), "password", scrypt_n=2)
"""


def test_of_processes_that_try_at_once_one_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "wallet.json"
    secrets = [bytes([number]) * 32 for number in (1, 2, 3)]
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE, str(path), secret.hex()], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for secret in secrets
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.close()  # go
    codes = [maker.wait(timeout=60) for maker in makers]
    assert codes.count(0) == 1
    assert open_keystore(path, "password").secret == secrets[codes.index(0)]
    assert [file.name for file in tmp_path.iterdir()] == ["wallet.json"]


def test_an_open_umask_does_not_open_the_wallet(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        create_keystore(tmp_path / "wallet.json", PAYER, PASSWORD, scrypt_n=QUICK_N)
    finally:
        os.umask(previous)
    assert (tmp_path / "wallet.json").stat().st_mode & 0o777 == 0o600


def changed(place: str, value: object) -> dict[str, Any]:
    """The PBKDF2 vector with the value at `place`, such as crypto.kdfparams.c, another."""
    document: dict[str, Any] = json.loads(json.dumps(PBKDF2))
    *parents, last = place.split(".")
    inside = document
    for name in parents:
        inside = inside[name]
    if value is None:
        del inside[last]
    else:
        inside[last] = value
    return document


SCRYPT_TOO_LARGE = {"dklen": 32, "n": 1 << 30, "r": 8, "p": 1, "salt": "00"}
DAMAGES: list[tuple[str, object]] = [
    ("version", 1),
    ("version", None),
    ("crypto", None),
    ("crypto", []),
    ("crypto.cipher", "aes-256-cbc"),
    ("crypto.cipherparams", "x"),
    ("crypto.cipherparams.iv", "00"),
    ("crypto.ciphertext", "zz"),
    ("crypto.ciphertext", None),
    ("crypto.mac", "00"),
    ("crypto.kdf", "argon2"),
    ("crypto.kdfparams.prf", "hmac-md5"),
    ("crypto.kdfparams.c", 0),
    ("crypto.kdfparams.c", -1),
    ("crypto.kdfparams.c", 4_000_000_000),
    ("crypto.kdfparams.c", "262144"),
    ("crypto.kdfparams.dklen", 16),
    ("crypto.kdfparams.salt", "odd"),
    ("crypto.kdfparams.salt", None),
]


@pytest.mark.parametrize(("place", "value"), DAMAGES, ids=str)
def test_damaged_files(tmp_path: Path, place: str, value: object) -> None:
    path = write(tmp_path / "wallet.json", changed(place, value))
    with pytest.raises(WalletError, match="is damaged") as caught:
        open_keystore(path, "testpassword")
    assert caught.value.fix == "restore it from a backup"


@pytest.mark.parametrize(
    "change", [{"n": 1 << 30}, {"n": 3}, {"p": 1 << 20}, {"r": 1 << 30}, {"n": 2, "r": 1 << 22, "p": 16}]
)
def test_absurd_costs_of_scrypt_are_refused(tmp_path: Path, change: dict[str, int]) -> None:
    document = json.loads(json.dumps(SCRYPT))
    document["crypto"]["kdfparams"].update(change)
    with pytest.raises(WalletError, match="out of bounds"):
        open_keystore(write(tmp_path / "wallet.json", document), "testpassword")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"null", b"\xff\xfe", b"[" * 10_000, b" " * 20_000], ids=lambda t: repr(t)[:9]
)
def test_what_is_no_keystore_at_all(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "wallet.json"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(WalletError, match="is damaged"):
        open_keystore(path, PASSWORD)


def test_an_address_of_another_key(tmp_path: Path) -> None:
    path = write(tmp_path / "wallet.json", PBKDF2 | {"address": "00" * 20})
    with pytest.raises(WalletError, match="address of another key"):
        open_keystore(path, "testpassword")
