"""Which broadcasts have been here: two generations of ids, so that forgetting costs nothing.

An id is remembered for one to two windows. When ids come faster than foreseen the older generation goes early: memory
is bounded, and what is forgotten is still refused once it is no longer fresh (intake.py).
"""


class SeenIds:
    """At most 2 × `size_max` ids, each for at least `window_s` at the foreseen rate."""

    __slots__ = ("_new", "_old", "_since_s", "_size_max", "_window_s")

    def __init__(self, window_s: float, size_max: int, now_s: float) -> None:
        self._window_s = window_s
        self._size_max = size_max
        self._since_s = now_s
        self._new: set[bytes] = set()  # asked, never walked through: its order does not matter
        self._old: set[bytes] = set()

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._new or message_id in self._old

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def add(self, message_id: bytes, now_s: float) -> None:
        """Remember it from now on."""
        if now_s - self._since_s >= self._window_s or len(self._new) >= self._size_max:
            self._old, self._new, self._since_s = self._new, set(), now_s
        self._new.add(message_id)
