"""dag-pb: a node with links and some bytes (https://ipld.io/specs/codecs/dag-pb/spec).

    message PBLink { bytes Hash = 1; string Name = 2; uint64 Tsize = 3; }
    message PBNode { repeated PBLink Links = 2; bytes Data = 1; }

We write the canonical form: Links before Data, and inside a link Hash, Name, Tsize. We also read Data before Links, as
old writers left it, but never links on both sides of the data, a field twice, out of order, or unknown.
"""

from typing import NamedTuple

from nearcast.content.blocks import BLOCK_BYTES_MAX
from nearcast.content.cid import Cid, decode_cid, encode_varint
from nearcast.content.protobuf import BYTES, VARINT, read_fields, read_uint
from nearcast.errors import IntegrityError, LimitError, UsageError

LINKS_MAX = 1 << 16  # 2 MiB over the 38 bytes of the smallest sha2-256 link is 55,188; the next power of two

_HASH, _NAME, _TSIZE = 1, 2, 3
_DATA, _LINKS = 1, 2


class PbLink(NamedTuple):
    """A link. `tsize` is the writer's claim of the bytes below it, never to be trusted; None where not written."""

    cid: Cid
    name: str | None
    tsize: int | None


class PbNode(NamedTuple):
    """A node: its links in order, and its data, None where it is not written."""

    links: tuple[PbLink, ...]
    data: bytes | None


def encode_node(node: PbNode) -> bytes:
    """The canonical bytes of a node; a name of "" is written, as Kubo does in files, and None is left out."""
    parts: list[bytes] = []
    for link in node.links:
        body = encode_link(link)
        parts += (b"\x12", encode_varint(len(body)), body)
    if node.data is not None:
        parts += (b"\x0a", encode_varint(len(node.data)), node.data)
    return b"".join(parts)


def encode_link(link: PbLink) -> bytes:
    """The body of one PBLink, without the tag and length that stand before it in a node."""
    binary = link.cid.to_bytes()
    body = b"\x0a" + encode_varint(len(binary)) + binary
    if link.name is not None:
        name = link.name.encode()
        body += b"\x12" + encode_varint(len(name)) + name
    if link.tsize is not None:
        body += b"\x18" + encode_varint(link.tsize)
    return body


def decode_node(data: bytes) -> PbNode:
    """A node from a block. Raises IntegrityError when it is not strict dag-pb, LimitError over LINKS_MAX links."""
    if len(data) > BLOCK_BYTES_MAX:
        raise LimitError(f"a block of {len(data)} bytes is over the limit of {BLOCK_BYTES_MAX}")
    links: list[PbLink] = []
    content: bytes | None = None
    links_ended = False
    for number, wire, value in read_fields(data):
        if wire != BYTES or number not in (_DATA, _LINKS) or isinstance(value, int):
            raise IntegrityError(f"malformed dag-pb: field {number} of wire type {wire} in a node")
        if number == _DATA:
            if content is not None:
                raise IntegrityError("malformed dag-pb: a node with two Data fields")
            content, links_ended = value, bool(links)
            continue
        if links_ended:
            raise IntegrityError("malformed dag-pb: links on both sides of the data")
        if len(links) == LINKS_MAX:
            raise LimitError(f"a node has over {LINKS_MAX} links")
        links.append(_decode_link(value))
    return PbNode(tuple(links), content)


def _decode_link(data: bytes) -> PbLink:
    cid: Cid | None = None
    name: str | None = None
    tsize: int | None = None
    last = 0
    position, end = 0, len(data)
    while position < end:
        number, wire = data[position] >> 3, data[position] & 7  # three fields: every tag is one byte
        if number <= last or number > _TSIZE or wire != (VARINT if number == _TSIZE else BYTES):
            raise IntegrityError(f"malformed dag-pb: field {number} of wire type {wire} in a link")
        last = number
        value, position = read_uint(data, position + 1)
        if number == _TSIZE:
            tsize = value
            continue
        if value > end - position:
            raise IntegrityError("malformed dag-pb: a link runs past its end")
        field = data[position : position + value]
        position += value
        if number == _HASH:
            cid = _link_cid(field)
        else:
            name = _link_name(field)
    if cid is None:
        raise IntegrityError("malformed dag-pb: a link without a CID")
    return PbLink(cid, name, tsize)


def _link_cid(field: bytes) -> Cid:
    try:
        return decode_cid(field)
    except UsageError as error:
        raise IntegrityError(f"malformed dag-pb: {error.message}") from error


def _link_name(field: bytes) -> str:
    """Names are text by the schema. Bytes that are not would break whoever prints, encodes or stores them later."""
    try:
        return field.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError("malformed dag-pb: a link's name is not UTF-8") from error
