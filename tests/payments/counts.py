"""A channel's lock and the count in it, for tests that make a channel by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nearcast.payments.channel_lock import ChannelLock
from nearcast.payments.verified_count import VerifiedCount


@contextmanager
def held_count(folder: Path, channel_id: bytes) -> Iterator[VerifiedCount]:
    """The channel is ours in the block."""
    lock = ChannelLock.take(folder, channel_id)
    assert lock is not None, "somebody else signs for it"
    try:
        yield lock.count
    finally:
        lock.release()
