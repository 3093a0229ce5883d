"""What a block links to, as far as keeping it needs to know. Only dag-pb links are followed."""

from nearcast.content.cid import DAG_PB, Cid
from nearcast.content.dagpb import decode_node
from nearcast.errors import RemoteError


def linked_keys(cid: Cid, data: bytes) -> tuple[bytes, ...]:
    """The children's CIDv1s in binary, each once, identity CIDs left out.

    A block that is not valid dag-pb has none: it is kept as it is, and whoever reads it will say what is wrong with it.
    """
    if cid.codec != DAG_PB:
        return ()
    try:
        links = decode_node(data).links
    except RemoteError:
        return ()
    return tuple(dict.fromkeys(link.cid.v1.to_bytes() for link in links if not link.cid.is_identity))
