"""What bounds a liar: its word about its own error is worth no more than what we saw of it.

The attack: up to a fifth of the peers that we measure act together. They know our coordinate and everybody's. A liar
may state any coordinate, a new one each time, in our cluster's space too; claim to be sure of it; and answer as late
as it likes, always or now and then, each victim differently. It cannot answer sooner than the network does, speak for
another peer, or choose whom we measure. One whose coordinate and delay agree is no liar but a peer behind a slow line:
nobody can tell, and only its own distance is wrong.

In every other case its samples keep contradicting the place that all others put us in, and that is remembered per peer:
the error we reckon with is the larger of the stated one and the history of its surprises, which neither that nor our
own error explains; twofold as soon as we know where we are. Nobody's word is taken for better than `ERROR_MIN`, and a
fit (fit.py) lets even a perfect one weigh little more than others.

A fifth of all can be the greater part of a small cluster, above all when they claim to be of whichever cluster asks.
There their word would be the majority's. So whom the common space doubts has no say in the cluster's (pharos.py).
"""

ERROR_MIN = 0.05  # guess: half of the median error of a settled network (0.06 to 0.09 on the PlanetLab matrix)
SLACK_S = 0.01  # two hosts of one room, put 5 ms apart, are no surprise; measured: without it the nearest lose trust
GAIN = 0.25  # as Vivaldi's c_e: about the last four samples count
DOUBT = 0.3  # a history above it has no say in a cluster; nine of ten honest peers stay below two thirds of it
SETTLED = 0.3  # with an own error below it we know where we are: contradiction is not our own fault; guess, as fit's
SETTLED_WEIGHT = 2.0  # of the history then; measured: 3 puts a crowd's median error above 9 %, 1 lets liars drift more
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
        return max(stated, history * (SETTLED_WEIGHT if own_error < SETTLED else 1.0), ERROR_MIN)

    def is_doubted(self, peer: bytes) -> bool:
        """Whether its samples keep contradicting the place that all others put us in."""
        return self._surprises.get(peer, 0.0) > DOUBT

    def forget(self, peer: bytes) -> None:
        self._surprises.pop(peer, None)
