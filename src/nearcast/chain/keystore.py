"""The wallet's key in a file that a password opens: Web3 Secret Storage, version 3, which every Ethereum tool reads.

Source: https://ethereum.org/developers/docs/data-structures-and-encoding/web3-secret-storage. We write scrypt and read
scrypt and PBKDF2. A stranger's file may ask for absurd costs; what would take more than 1 GiB or a minute is refused.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from nearcast.chain.durable import write_private
from nearcast.chain.eip712 import ADDRESS_BYTES, keccak
from nearcast.chain.signing import Signer
from nearcast.errors import NearcastError, WalletError

SCRYPT_N = 1 << 18  # geth's standard: 256 MiB and about a second
_SCRYPT_R, _SCRYPT_P = 8, 1  # geth's
_SCRYPT_MEMORY_MAX_BYTES = 1 << 30
_SCRYPT_P_MAX = 16
_PBKDF2_ROUNDS_MAX = 10_000_000  # geth's default is 262,144
_FILE_BYTES_MAX = 4_096  # a keystore has about 500
_KEY_BYTES = 32


def create_keystore(path: Path, signer: Signer, password: str, *, scrypt_n: int = SCRYPT_N) -> None:
    """Write `signer`'s secret to `path`, mode 0600, durably. WalletError where there is a file, or no writing to it."""
    document = json.dumps(_encrypt(signer, password, scrypt_n), indent=2).encode() + b"\n"
    try:
        write_private(path, document, replace=False)
    except FileExistsError as error:
        raise WalletError(f"there is a wallet already: {path}", fix="choose another file with --wallet") from error
    except OSError as error:
        raise WalletError(f"the wallet {path} cannot be written: {error.strerror}") from error


def open_keystore(path: Path, password: str) -> Signer:
    """The key in the file. WalletError, with what mends it: absent, open to others, damaged, or another password."""
    document = _read(path)
    try:
        crypto = _object(document, "crypto")
        kdf = _derived_key(crypto, password)
        sealed = _hex(crypto, "ciphertext", _KEY_BYTES)
        if crypto.get("cipher") != "aes-128-ctr":
            raise ValueError("its cipher is not aes-128-ctr")
        initial = _hex(_object(crypto, "cipherparams"), "iv", 16)
        mac = _hex(crypto, "mac", 32)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    if not compare_digest(keccak(kdf[16:32] + sealed), mac):
        raise WalletError(f"this is not the password of the wallet {path}", fix="try again with another password")
    try:
        signer = Signer(_aes(kdf[:16], initial, sealed))
    except NearcastError as error:
        raise _damaged(path, error) from error
    if "address" in document and keystore_address(path) != signer.address:
        raise _damaged(path, ValueError("it names the address of another key"))
    return signer


def keystore_address(path: Path) -> bytes:
    """The 20-byte address that the file says it is for, without a password. WalletError as in `open_keystore`."""
    document = _read(path)
    try:
        if not isinstance(document["address"], str):
            raise TypeError("its address is not text")
        return _hex({"address": document["address"].removeprefix("0x")}, "address", ADDRESS_BYTES)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _encrypt(signer: Signer, password: str, scrypt_n: int) -> dict[str, object]:
    salt, initial = os.urandom(32), os.urandom(16)
    derived = _scrypt(password, salt, scrypt_n, _SCRYPT_R, _SCRYPT_P)
    sealed = _aes(derived[:16], initial, signer.secret)
    return {
        "address": signer.address.hex(),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": initial.hex()},
            "ciphertext": sealed.hex(),
            "kdf": "scrypt",
            "kdfparams": {"dklen": _KEY_BYTES, "n": scrypt_n, "p": _SCRYPT_P, "r": _SCRYPT_R, "salt": salt.hex()},
            "mac": keccak(derived[16:32] + sealed).hex(),
        },
        "id": str(uuid.uuid4()),
        "version": 3,
    }


def _read(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            data = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise WalletError(f"there is no wallet at {path}", fix="make one: nearcast wallet create") from error
    except OSError as error:
        raise WalletError(f"the wallet {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise WalletError(f"the wallet {path} can be read by others (mode {mode:o})", fix=f"chmod 600 {path}")
    try:
        if len(data) > _FILE_BYTES_MAX:
            raise ValueError("it is too large")
        document = json.loads(data)
        if not isinstance(document, dict) or document.get("version") != 3:
            raise ValueError("it is not a Web3 Secret Storage file of version 3")
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    # Tools of 2015 wrote some names with capitals; the standard has them in lower case.
    return {str(name).lower(): value for name, value in document.items()}


def _derived_key(crypto: Mapping[str, object], password: str) -> bytes:
    parameters = _object(crypto, "kdfparams")
    salt = bytes.fromhex(str(parameters["salt"]))
    if _number(parameters, "dklen") != _KEY_BYTES:
        raise ValueError("its derived key is not 32 bytes")
    if crypto.get("kdf") == "scrypt":
        n, r, p = (_number(parameters, name) for name in ("n", "r", "p"))
        if n < 2 or n & (n - 1) or 128 * r * (n + p) > _SCRYPT_MEMORY_MAX_BYTES or p > _SCRYPT_P_MAX:
            raise ValueError("its scrypt parameters are out of bounds")
        return _scrypt(password, salt, n, r, p)
    if crypto.get("kdf") == "pbkdf2" and parameters.get("prf") == "hmac-sha256":
        rounds = _number(parameters, "c")
        if rounds > _PBKDF2_ROUNDS_MAX:
            raise ValueError("its PBKDF2 rounds are out of bounds")
        return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds, _KEY_BYTES)
    raise ValueError("its key derivation is neither scrypt nor pbkdf2")


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # Not OpenSSL's, which refuses the n of 2^18 with r of 1 that eth-account and others of the Python world write.
    # Loaded here, since only a wallet needs it.
    from Crypto.Protocol.KDF import scrypt

    return bytes(scrypt(password.encode(), salt, _KEY_BYTES, n, r, p))  # type: ignore[arg-type]


def _aes(key: bytes, initial: bytes, data: bytes) -> bytes:
    """AES-128 in counter mode: the same either way."""
    return Cipher(AES(key), CTR(initial)).encryptor().update(data)


def _object(parent: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = parent[name]
    if not isinstance(value, dict):
        raise TypeError(f"its {name} is not an object")
    return value


def _number(parent: Mapping[str, object], name: str) -> int:
    value = parent[name]
    if type(value) is not int or not 0 < value < 1 << 32:
        raise ValueError(f"its {name} is not a number in bounds")
    return value


def _hex(parent: Mapping[str, object], name: str, size_bytes: int) -> bytes:
    value = bytes.fromhex(str(parent[name]))
    if len(value) != size_bytes:
        raise ValueError(f"its {name} is not {size_bytes} bytes")
    return value


def _damaged(path: Path, reason: Exception) -> WalletError:
    why = f"its {reason.args[0]} is missing" if isinstance(reason, KeyError) else str(reason)
    return WalletError(f"the wallet {path} is damaged: {why}", fix="restore it from a backup")
