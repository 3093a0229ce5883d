"""The node's identity: one ed25519 key in one file that only its owner can read.

The public key is the endpoint id: 32 bytes, printed as 64 hexadecimal digits.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from nearcast.errors import StoreError, UsageError

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Identity:
    """An ed25519 key pair. `secret` never appears in a repr or a log."""

    secret: bytes
    endpoint_id: bytes

    def __repr__(self) -> str:
        return f"Identity({self.endpoint_id.hex()})"

    def sign(self, message: bytes) -> bytes:
        """The 64-byte ed25519 signature of `message` (RFC 8032)."""
        return Ed25519PrivateKey.from_private_bytes(self.secret).sign(message)


def identity_from_secret(secret: bytes) -> Identity:
    """Raises UsageError when `secret` is not 32 bytes."""
    if len(secret) != SECRET_BYTES:
        raise UsageError(f"an identity key is {SECRET_BYTES} bytes, this one is {len(secret)}")
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key()
    return Identity(secret=secret, endpoint_id=public.public_bytes_raw())


def new_identity() -> Identity:
    """A fresh key from the operating system's entropy."""
    return identity_from_secret(os.urandom(SECRET_BYTES))


def verify(endpoint_id: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is `endpoint_id`'s over `message`; a malformed key or signature is simply False."""
    try:
        Ed25519PublicKey.from_public_bytes(endpoint_id).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def load_or_create_identity(path: Path) -> Identity:
    """The identity kept at `path` (mode 0600, the secret in hexadecimal), made on first use.

    Raises StoreError when the file is readable by others or is not a key (we neither use nor overwrite it), and when
    it can be neither read nor made.
    """
    try:
        try:
            return _create(path)
        except FileExistsError:
            return _load(path)
    except OSError as error:
        raise StoreError(f"the identity key {path} cannot be used: {error.strerror}") from error


def _create(path: Path) -> Identity:
    """Write a new key under a temporary name, then link it into place: a crash never leaves half a key."""
    if path.exists():
        raise FileExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    identity = new_identity()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)  # left by a crash of a process with our number; its mode is not to be trusted
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, identity.secret.hex().encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(temporary, path)  # fails when another process was first: then its key is the key
    finally:
        temporary.unlink()
    return identity


def _load(path: Path) -> Identity:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise StoreError(f"the identity key {path} can be read by others (mode {mode:o})", fix=f"chmod 600 {path}")
    try:
        return identity_from_secret(bytes.fromhex(path.read_text().strip()))
    except (ValueError, UsageError) as error:
        raise StoreError(
            f"{path} does not hold an identity key",
            fix=f"restore it from a backup, or move it away: mv {path} {path}.bad",
        ) from error
