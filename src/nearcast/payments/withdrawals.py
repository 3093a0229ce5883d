"""Which withdrawals are known, and which of them were answered: what must be remembered from one poll to the next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nearcast.payments.claim_batches import Answer, Row


@dataclass
class Withdrawals:
    """Lost at a restart, after which every pending withdrawal counts as new: that costs one claim more at most."""

    answers: dict[bytes, Answer] = field(default_factory=dict)
    _noticed: dict[bytes, int] = field(default_factory=dict)

    def notice(self, begun_at: Mapping[bytes, int]) -> list[bytes]:
        """The channels whose withdrawal was not known before. `begun_at`: of every channel that was looked at."""
        fresh = [channel for channel, at in begun_at.items() if at and self._noticed.get(channel) != at]
        for channel, at in begun_at.items():
            if at:
                self._noticed[channel] = at
            else:
                self._noticed.pop(channel, None)
                self.answers.pop(channel, None)
        return fresh

    def answered(self, rows: Iterable[Row], now_s: int) -> None:
        """These were claimed, or the contract would not have them claimed."""
        for row in rows:
            if row.is_leaving:
                begun_at, before = row.state.withdraw_begun_at, self.answers.get(row.channel_id)
                count = before.count + 1 if before is not None and before.begun_at == begun_at else 1
                self.answers[row.channel_id] = Answer(begun_at, row.left_s(now_s), count)
