"""Where a peer stands: a point per level, the time between two of them, and the bytes that a message carries.

A point is a place in a few dimensions, a height above it (the access line: every way out of the peer pays it) and the
peer's own relative error (Vivaldi, SIGCOMM 2004, sections 5.4 and 3.2). All lengths are round-trip seconds. Serf adds
a term that is not a distance (serf `coordinate/client.go`): `adjustment_s`.

A coordinate has the point in the space of everybody and, with two levels (Pharos, GLOBECOM 2007), a second one in the
space of its cluster. Two peers of one cluster are compared there, all others in the common space.

Invariants: every number is finite and within its bound; the estimate of two coordinates is the same from both ends.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

from nearcast.errors import RemoteError

RTT_S_MAX = 10.0  # serf coordinate/client.go: a longer time is no distance but a fault
RTT_S_MIN = 0.00001  # 10 us, the least height of Serf: no two hosts are nearer
ERROR_MAX = 1.5  # VivaldiErrorMax of Serf; also where everybody begins
DIMENSIONS_MAX = 8  # Serf's 8; more gained nothing on the PlanetLab matrix
CLUSTER_BYTES = 8  # of the landmark's name; a clash only compares two peers in the wrong space
COORDINATE_BYTES_MAX = 100  # rides on every ping and announcement

_VERSION = 1
_HEAD = struct.Struct(">BB")
_LEVELS_MAX = 2


@dataclass(frozen=True, slots=True)
class Point:
    """`vector` and `height_s` in round-trip seconds; `error` relative, 0 to ERROR_MAX."""

    vector: tuple[float, ...]
    height_s: float = 0.0
    error: float = ERROR_MAX
    adjustment_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A peer's place: `point` among all, `local` within `cluster` (both None with one level, or before it has one)."""

    point: Point
    cluster: bytes | None = None
    local: Point | None = None


def origin(dimensions: int, height_s: float = 0.0) -> Point:
    """Where everybody begins, knowing nothing."""
    return Point((0.0,) * dimensions, height_s)


def distance_s(one: Point, other: Point) -> float:
    """The estimated round-trip time of two points of one space; infinite if the spaces differ.

    Heights add up: down one access line and up the other. The adjustment counts only while the sum stays a time.
    """
    if len(one.vector) != len(other.vector):
        return math.inf
    plain_s = math.dist(one.vector, other.vector) + one.height_s + other.height_s
    adjusted_s = plain_s + one.adjustment_s + other.adjustment_s
    return adjusted_s if adjusted_s > 0.0 else plain_s


def estimate_s(one: Coordinate, other: Coordinate) -> float:
    """The estimated round-trip time, in the cluster's space where both are of one cluster."""
    if one.local is not None and other.local is not None and one.cluster == other.cluster:
        near_s = distance_s(one.local, other.local)
        if near_s < math.inf:
            return near_s
    return distance_s(one.point, other.point)


def encode_coordinate(coordinate: Coordinate) -> bytes:
    """At most COORDINATE_BYTES_MAX: version, dimensions, then 32-bit floats (a relative 1e-7, below any clock's)."""
    points = [coordinate.point]
    if coordinate.local is not None and coordinate.cluster is not None:
        points.append(coordinate.local)
    dimensions = len(coordinate.point.vector)
    packed = _HEAD.pack(_VERSION, dimensions)
    for point in points:
        numbers = (*point.vector, point.height_s, point.error, point.adjustment_s)
        packed += struct.pack(f">{dimensions + 3}f", *numbers)
    return packed + (coordinate.cluster or b"" if len(points) == _LEVELS_MAX else b"")


def parse_coordinate(value: Any) -> Coordinate:
    """What `encode_coordinate` wrote. RemoteError for anything else: a wrong length, a number out of its bound."""
    if not isinstance(value, bytes) or not _HEAD.size <= len(value) <= COORDINATE_BYTES_MAX:
        raise RemoteError(f"a coordinate is not at most {COORDINATE_BYTES_MAX} bytes")
    version, dimensions = _HEAD.unpack_from(value)
    if version != _VERSION or not 1 <= dimensions <= DIMENSIONS_MAX:
        raise RemoteError("a coordinate of an unknown version, or with too many dimensions")
    level = struct.Struct(f">{dimensions + 3}f")
    rest = len(value) - _HEAD.size
    point = _point(level.unpack_from(value, _HEAD.size)) if rest >= level.size else None
    if point is None or rest not in (level.size, 2 * level.size + CLUSTER_BYTES):
        raise RemoteError("a coordinate does not have the length of its dimensions")
    if rest == level.size:
        return Coordinate(point)
    local = _point(level.unpack_from(value, _HEAD.size + level.size))
    return Coordinate(point, value[-CLUSTER_BYTES:], local)


def _point(numbers: tuple[float, ...]) -> Point:
    *vector, height_s, error, adjustment_s = numbers
    point = Point(tuple(vector), height_s, error, adjustment_s)
    if not is_sound(point):
        raise RemoteError("a coordinate with a number out of bounds")
    return point


def is_sound(point: Point) -> bool:
    """Every number is finite and within its bound (a comparison with NaN is false)."""
    return (
        all(-RTT_S_MAX <= number <= RTT_S_MAX for number in point.vector)
        and 0.0 <= point.height_s <= RTT_S_MAX
        and 0.0 <= point.error <= ERROR_MAX
        and -RTT_S_MAX <= point.adjustment_s <= RTT_S_MAX
    )
