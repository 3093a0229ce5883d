"""A node that lies: the real program, but one bit of every piece of content that it hands out is another.

python demo_liar.py up …
"""

from nearcast.cli.main import main
from nearcast.content.cid import RAW, Cid
from nearcast.content.store import Store

_read_file, _get_block = Store.read_file, Store.get_block


def _lie(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:] if data else data


def _lying_file(self: Store, cid: Cid, start: int, end: int) -> bytes:
    return _lie(_read_file(self, cid, start, end))


def _lying_block(self: Store, cid: Cid) -> bytes:
    return _lie(_get_block(self, cid)) if cid.codec == RAW else _get_block(self, cid)


if __name__ == "__main__":
    Store.read_file, Store.get_block = _lying_file, _lying_block  # type: ignore[method-assign]  # that is the lie
    main()
