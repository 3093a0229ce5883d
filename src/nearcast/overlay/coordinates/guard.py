"""What bounds a liar: its word about its own error is worth no more than what we saw of it.

The round-trip time is ours. A liar may state any coordinate, claim to be sure of it, or answer late. In each case its
samples keep contradicting the place that all others put us in, and that is remembered per peer: the error we
reckon with is the larger of the stated one and the history of its surprises, which neither that nor our own error
explains. Nobody's word is taken for better than `ERROR_MIN`, and a fit (fit.py) lets even a perfect one weigh little
more than others.
"""

ERROR_MIN = 0.05  # guess: half of the median error of a settled network (0.06 to 0.09 on the PlanetLab matrix)
SLACK_S = 0.01  # two hosts of one room, put 5 ms apart, are no surprise; measured: without it the nearest lose trust
GAIN = 0.25  # as Vivaldi's c_e: about the last four samples count
SURPRISE_MAX = 5.0  # one sample cannot spoil an honest peer's name for more than about ten more
REMEMBERED_PEERS_MAX = 512  # as many as the latency filter remembers


class Guard:
    """The surprises that each peer gave us. The peer not heard of for longest is forgotten first."""

    __slots__ = ("_surprises",)

    def __init__(self) -> None:
        self._surprises: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._surprises)

    def error_of(self, peer: bytes, stated: float, estimate_s: float, rtt_s: float, own_error: float) -> float:
        """The error to reckon with, after a sample of `rtt_s` where our two coordinates say `estimate_s`."""
        relative = abs(estimate_s - rtt_s) / (min(estimate_s, rtt_s) + SLACK_S)
        surprise = min(SURPRISE_MAX, max(0.0, relative - own_error - stated))
        history = self._surprises.pop(peer, 0.0)
        history += GAIN * (surprise - history)
        self._surprises[peer] = history
        if len(self._surprises) > REMEMBERED_PEERS_MAX:
            del self._surprises[next(iter(self._surprises))]
        return max(stated, history, ERROR_MIN)

    def forget(self, peer: bytes) -> None:
        self._surprises.pop(peer, None)
