"""What a fetch has got from whom, while it runs: plain bookkeeping that bars and summaries are drawn from."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Share:
    """One source's part. `trouble` says why it is not asked any more."""

    name: str
    verified_bytes: int = 0
    verified_blocks: int = 0
    trouble: str | None = None
    lied: bool = False


@dataclass(slots=True)
class Tally:
    """Bytes by source. `total_bytes` is None until the size is known.

    When it became known, `reused_bytes` of it were here, and `planned_at_bytes` had been verified.
    """

    total_bytes: int | None = None
    reused_bytes: int = 0
    planned_at_bytes: int = 0
    shares: dict[str, Share] = field(default_factory=dict)

    @property
    def verified_bytes(self) -> int:
        return sum(share.verified_bytes for share in self.shares.values())

    @property
    def done_bytes(self) -> int:
        """Of `total_bytes`, how many are here."""
        done = self.reused_bytes + self.verified_bytes - self.planned_at_bytes
        return done if self.total_bytes is None else min(done, self.total_bytes)

    def of(self, name: str) -> Share:
        """The source's part; its first mention makes it known."""
        return self.shares.setdefault(name, Share(name))

    def add(self, name: str, size_bytes: int, blocks: int = 1) -> None:
        share = self.of(name)
        share.verified_bytes += size_bytes
        share.verified_blocks += blocks

    def lost(self, name: str, reason: str, *, lied: bool) -> None:
        share = self.of(name)
        share.trouble, share.lied = reason, lied
