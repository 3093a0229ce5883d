"""Which peers give the clusters their names, and to which of them we belong.

Pharos has a small fixed set of anchors. A network without a centre has none, so landmarks are elected by what
everybody knows already, the announced coordinates: in the order of a hash of their ids, a peer is a landmark if no
earlier one is nearer than `separation_s`. Whoever knows the same peers elects the same landmarks, with no message.
Peers with different knowledge may differ; then they are of different clusters, and compared in the common space.

A landmark does nothing but answer pings. One that lies about its place gathers the wrong peers or none: those are as
well off as with one level. It costs a liar no more, and gains it no more, than any other lie.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from nearcast.overlay.coordinates.coordinate import CLUSTER_BYTES, Coordinate, distance_s

SEPARATION_S = 0.08  # measured on the PlanetLab matrix: 40 ms and less make clusters too small to be mapped well
LANDMARKS_MAX = 12  # measured: 8 to 12 are best for the 90th percentile, as in Pharos' figures
ELECTORATE_MAX = 2048  # of the known, those with the smallest hashes; bounds the work of an election
STAY = 0.75  # a landmark stays one until another is nearer than this share of the separation: no flapping


def rank(peer: bytes) -> bytes:
    """The order of election. A hash, so that an id that looks old or central is worth nothing."""
    return sha256(b"nearcast landmark" + peer).digest()


def cluster_name(landmark: bytes) -> bytes:
    return rank(landmark)[:CLUSTER_BYTES]


def elect(
    known: Mapping[bytes, Coordinate],
    present: Iterable[bytes] = (),
    separation_s: float = SEPARATION_S,
    landmarks_max: int = LANDMARKS_MAX,
) -> list[bytes]:
    """The landmarks among the known peers. Those who are `present`ly such may come a little nearer to one another."""
    sitting = dict.fromkeys(present)
    elected: list[bytes] = []
    for peer in sorted(known, key=rank)[:ELECTORATE_MAX]:
        point = known[peer].point
        apart_s = separation_s * STAY if peer in sitting else separation_s
        if all(distance_s(point, known[other].point) >= apart_s for other in elected):
            elected.append(peer)
            if len(elected) >= landmarks_max:
                break
    return elected
