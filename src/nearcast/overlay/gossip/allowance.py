"""Token buckets: how much one may do, at a rate and in bursts."""


class Allowance:
    """Holds up to `burst` tokens, gains `per_s` each second, and lends none."""

    __slots__ = ("_at_s", "_tokens", "burst", "per_s")

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self.per_s = per_s
        self.burst = burst
        self._tokens = burst
        self._at_s = now_s

    def take(self, cost: float, now_s: float) -> bool:
        """Take `cost` tokens; False, and nothing is taken, when there are fewer."""
        tokens = self._tokens + (now_s - self._at_s) * self.per_s
        self._at_s = now_s
        if tokens > self.burst:
            tokens = self.burst
        if tokens < cost:
            self._tokens = tokens
            return False
        self._tokens = tokens - cost
        return True


class Allowances:
    """One bucket per peer, for so many peers: the one unseen for longest is forgotten first.

    A peer that is forgotten starts with a full bucket, so the bound is also the number of identities that one
    attacker needs to reset its own. It gains a burst per identity, as it would by using that identity anyway.
    """

    __slots__ = ("_buckets", "_burst", "_peers_max", "_per_s")

    def __init__(self, per_s: float, burst: float, peers_max: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._peers_max = peers_max
        self._buckets: dict[bytes, Allowance] = {}

    def take(self, peer_id: bytes, cost: float, now_s: float) -> bool:
        """As Allowance.take, for this peer."""
        bucket = self._buckets.get(peer_id)
        if bucket is None:
            if len(self._buckets) >= self._peers_max:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[peer_id] = Allowance(self._per_s, self._burst, now_s)
        return bucket.take(cost, now_s)

    def __len__(self) -> int:
        return len(self._buckets)
