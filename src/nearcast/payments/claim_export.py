"""The claim file that a node keeps up to date, so that a watchtower elsewhere always has its newest vouchers."""

from collections.abc import Iterable
from pathlib import Path

from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import Voucher
from nearcast.payments.claim_files import authorize, claim_line, write_claim_file
from nearcast.payments.earned_rows import EarnedChannel
from nearcast.payments.terms import Terms


class ClaimExport:
    """Writes the file when something is new. It signs each voucher once; for one thread at a time."""

    def __init__(self, path: Path, terms: Terms, hot: Signer) -> None:
        self._path = path
        self._terms = terms
        self._hot = hot
        self._lines: dict[bytes, tuple[int, bytes]] = {}  # by channel: the voucher's units, and its line
        self._written = -1

    def update(self, channels: Iterable[EarnedChannel]) -> int:
        """Have these vouchers, and no others, in the file; how many it holds. StoreError when it cannot be written.

        A channel whose claims another key signs is left out: nobody else could submit them by our word.
        """
        before, self._lines = self._lines, {}
        for channel in channels:
            units = channel.promise.units
            if not units or channel.config.receiver_authorizer != self._hot.address:
                continue
            known = before.get(channel.channel_id)
            self._lines[channel.channel_id] = known if known and known[0] == units else (units, self._line(channel))
        if self._lines != before or self._written < 0:
            write_claim_file(self._path, (line for _, line in self._lines.values()))
            self._written = len(self._lines)
        return self._written

    def _line(self, channel: EarnedChannel) -> bytes:
        voucher = Voucher(channel.channel_id, channel.promise.units)
        claim = authorize(self._terms.domain, channel.config, voucher, channel.promise.signature, self._hot)
        return claim_line(self._terms.chain_id, self._terms.settlement, claim)
