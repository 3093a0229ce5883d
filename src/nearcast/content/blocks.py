"""A block: the unit that is hashed, sent and paid for. Reading one by name, and checking it against its name."""

import hashlib
from collections.abc import Callable

from nearcast.content.cid import SHA2_256, Cid
from nearcast.errors import IntegrityError, LimitError, NotFoundError
from nearcast.wire import BLOCK_BYTES_MAX as BLOCK_BYTES_MAX  # what may travel is what may be stored

GetBlock = Callable[[Cid], bytes]
"""Gives the block's verified bytes; raises MissingBlockError. Identity CIDs never reach it: see `read_block`."""


class MissingBlockError(NotFoundError):
    """A block is not in this store."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(f"block {cid} is not here")
        self.cid = cid


def check_block(cid: Cid, data: bytes) -> None:
    """Raises IntegrityError unless `data` hashes to `cid`, LimitError when it is over 2 MiB."""
    if len(data) > BLOCK_BYTES_MAX:
        raise LimitError(f"a block of {len(data)} bytes is over the limit of {BLOCK_BYTES_MAX}")
    actual = hashlib.sha256(data).digest() if cid.hash_code == SHA2_256 else data
    if actual != cid.digest:
        raise IntegrityError(f"bytes do not hash to {cid}")


def read_block(get: GetBlock, cid: Cid) -> bytes:
    """The block's bytes; an identity CID carries its own."""
    return cid.digest if cid.is_identity else get(cid)
