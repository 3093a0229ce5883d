"""Names of content: CIDs (https://github.com/multiformats/cid).

A CID is a version, a codec (how the bytes are to be read) and a multihash (which hash, and its digest). We write CIDv1
with sha2-256; we also read CIDv0 and identity CIDs, whose "digest" is the content itself.
"""

from dataclasses import dataclass
from functools import lru_cache

import libipld

from nearcast.errors import LimitError, NearcastError, UsageError

RAW = 0x55
DAG_PB = 0x70
DAG_CBOR = 0x71
SHA2_256 = 0x12
IDENTITY = 0x00
DIGEST_BYTES = 32
IDENTITY_BYTES_MAX = 128  # IPIP-0512: accept 128, refuse 129
CID_TEXT_CHARACTERS_MAX = 512  # an identity CID of 128 bytes in base16 has 265

CID_V0_CHARACTERS = 46  # 34 bytes in base58
_RETYPE = "check it for a lost or mistyped character"

_RAW_PREFIX = bytes([1, RAW, SHA2_256, DIGEST_BYTES])
_DAG_PB_PREFIX = bytes([1, DAG_PB, SHA2_256, DIGEST_BYTES])


@dataclass(frozen=True, slots=True)
class Cid:
    """A content identifier. Two CIDs that differ only in version name the same bytes: see `v1`."""

    version: int
    codec: int
    hash_code: int
    digest: bytes

    def __str__(self) -> str:
        """base58btc for version 0, base32 for version 1."""
        if self.version == 0:
            return str(libipld.encode_multibase("z", self.to_bytes()))[1:]
        return str(libipld.encode_multibase("b", self.to_bytes()))

    @property
    def is_identity(self) -> bool:
        return self.hash_code == IDENTITY

    @property
    def v1(self) -> "Cid":
        """The same name in version 1: the form to compare and to look up by."""
        return self if self.version == 1 else Cid(1, self.codec, self.hash_code, self.digest)

    def to_bytes(self) -> bytes:
        """The binary form, as it stands in links, CARs and messages."""
        if self.version == 0:
            return bytes([SHA2_256, DIGEST_BYTES]) + self.digest
        if self.hash_code == SHA2_256 and self.codec == RAW:
            return _RAW_PREFIX + self.digest
        if self.hash_code == SHA2_256 and self.codec == DAG_PB:
            return _DAG_PB_PREFIX + self.digest
        head = encode_varint(1) + encode_varint(self.codec) + encode_varint(self.hash_code)
        return head + encode_varint(len(self.digest)) + self.digest


def raw_cid(digest: bytes) -> Cid:
    """The CIDv1 of raw bytes with this sha2-256 digest."""
    return Cid(1, RAW, SHA2_256, digest)


def dag_pb_cid(digest: bytes) -> Cid:
    """The CIDv1 of a dag-pb block with this sha2-256 digest."""
    return Cid(1, DAG_PB, SHA2_256, digest)


@lru_cache(maxsize=4096)
def parse_cid(text: str) -> Cid:
    """A CID from text in any multibase. Raises UsageError when it is not one."""
    if len(text) > CID_TEXT_CHARACTERS_MAX:
        raise UsageError(f"not a CID: {text[:20]}… has {len(text)} characters")
    is_version_0 = len(text) == CID_V0_CHARACTERS and text.startswith("Qm")
    try:
        _, data = libipld.decode_multibase("z" + text if is_version_0 else text)
        cid = decode_cid(data)
    except ValueError as error:
        raise UsageError(f"not a CID: {text!r}", fix=_RETYPE) from error
    except NearcastError as error:
        raise UsageError(f"not a CID: {text!r} ({_reason(error)})", fix=error.fix or _RETYPE) from error
    if cid.version == 0 and not is_version_0:
        raise UsageError(f"not a CID: {text!r} (version 0 is written without a base)")
    return cid


def decode_cid(data: bytes) -> Cid:
    """A CID from its binary form, which must be all of `data`. Raises UsageError when it is not one."""
    cid, end = read_cid(data, 0)
    if end != len(data):
        raise UsageError(f"not a CID: {len(data) - end} bytes follow it")
    return cid


def read_cid(data: bytes, start: int) -> tuple[Cid, int]:
    """The binary CID at `start`, and where it ends. Raises UsageError when there is none."""
    if data[start : start + 4] == _RAW_PREFIX and len(data) >= start + 36:
        return Cid(1, RAW, SHA2_256, data[start + 4 : start + 36]), start + 36
    if data[start : start + 2] == b"\x12\x20":
        end = start + 34
        if len(data) < end:
            raise UsageError("not a CID: cut short")
        return Cid(0, DAG_PB, SHA2_256, data[start + 2 : end]), end
    version, position = read_varint(data, start)
    codec, position = read_varint(data, position)
    hash_code, position = read_varint(data, position)
    size, position = read_varint(data, position)
    if version != 1:
        raise UsageError(f"not a CID: version {version} is unknown")
    if size > IDENTITY_BYTES_MAX:
        raise UsageError(f"not a CID: its digest has {size} bytes, at most {IDENTITY_BYTES_MAX} are possible")
    if len(data) < position + size:
        raise UsageError("not a CID: its digest is cut short")
    return _checked(1, codec, hash_code, data[position : position + size]), position + size


def _checked(version: int, codec: int, hash_code: int, digest: bytes) -> Cid:
    if hash_code == SHA2_256 and len(digest) != DIGEST_BYTES:
        raise UsageError(f"not a CID: a sha2-256 digest has 32 bytes, this one {len(digest)}")
    if hash_code not in (SHA2_256, IDENTITY):
        raise UsageError(f"CIDs with hash function 0x{hash_code:x} are not supported, only sha2-256 (and identity)")
    return Cid(version, codec, hash_code, digest)


def encode_varint(value: int) -> bytes:
    """Unsigned LEB128, as multiformats and protobuf use it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """The varint at `start`, and where it ends. Raises LimitError over 9 bytes, UsageError when cut or not minimal."""
    value, shift = 0, 0
    for position in range(start, min(start + 9, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and position > start:
                raise UsageError("a varint is not minimally encoded")
            return value, position + 1
        shift += 7
    if len(data) >= start + 9:
        raise LimitError("a varint is longer than 9 bytes")
    raise UsageError("a varint is cut short")


def _reason(error: NearcastError) -> str:
    return error.message.removeprefix("not a CID: ")
