"""Who broke the protocol, and for how long that is remembered."""


class Shunning:
    """At most `size_max` peers; the one shunned longest ago is forgiven first."""

    __slots__ = ("_duration_s", "_size_max", "until_s")

    def __init__(self, duration_s: float, size_max: int) -> None:
        self._duration_s = duration_s
        self._size_max = size_max
        self.until_s: dict[bytes, float] = {}  # to be looked at only

    def __len__(self) -> int:
        return len(self.until_s)

    def add(self, endpoint_id: bytes, now_s: float) -> None:
        """From now on."""
        self.until_s.pop(endpoint_id, None)
        if len(self.until_s) >= self._size_max:
            del self.until_s[next(iter(self.until_s))]
        self.until_s[endpoint_id] = now_s + self._duration_s

    def holds(self, endpoint_id: bytes, now_s: float) -> bool:
        """Whether it is shunned now."""
        return bool(self.until_s) and self.until_s.get(endpoint_id, now_s) > now_s
