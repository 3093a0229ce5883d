"""How much of a channel its payer has verified, left behind for the next process that signs for it.

A voucher covers a quarter of a window, so a payer that is killed has verified bytes that nobody signed for. Its payee
forgives so much of that and no more; a payer that is killed often would be out of credit one day. So the count is
written at every block, into the page cache only: that survives any end of the process, costs 2 µs (measured), and
when the machine itself loses power the payee's forgiveness is what is left.

It only ever says what was verified, so whoever goes by it pays for nothing else. What cannot be read counts as nothing.
"""

import hashlib
import os
from contextlib import suppress
from typing import Final

_PARTS_BYTES: Final = 32
_CHECK_BYTES: Final = 8
_PERSON: Final = b"verified"


class VerifiedCount:
    """The count in an open file that nobody else writes to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> int:
        """Parts since the channel's opening; 0 where none were left, or none that can be trusted."""
        with suppress(OSError):
            data = os.pread(self._descriptor, _PARTS_BYTES + _CHECK_BYTES, 0)
            if data[_PARTS_BYTES:] == _check(data[:_PARTS_BYTES]):
                return int.from_bytes(data[:_PARTS_BYTES], "big")
        return 0

    def note(self, parts: int) -> None:
        """So much by now. A disk that does not take it costs trust at the next crash, and nothing else."""
        number = parts.to_bytes(_PARTS_BYTES, "big")
        with suppress(OSError):
            os.pwrite(self._descriptor, number + _check(number), 0)


def _check(number: bytes) -> bytes:
    return hashlib.blake2b(number, digest_size=_CHECK_BYTES, person=_PERSON).digest()
