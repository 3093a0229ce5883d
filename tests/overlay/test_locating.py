"""A node's own coordinate on the wire: always the present one."""

import random

from nearcast.overlay.coordinates import Coordinate, Point, encode_coordinate
from nearcast.overlay.locating import Locating
from nearcast.overlay.settings import MeshSettings


def test_what_is_told_is_where_we_are() -> None:
    locating = Locating(MeshSettings(), random.Random(1))
    told = {locating.encoded()}
    for at in range(12):
        place = encode_coordinate(Coordinate(Point((0.01 * at,) * 7, error=0.1)))
        locating.sample(bytes([at]) * 32, 0.02, place, 0.0)
        assert locating.encoded() == encode_coordinate(locating.coordinates.own)
        told.add(locating.encoded())
    assert locating.samples == 12
    assert len(told) > 3
    locating.coordinates.arrange({b"a" * 32: Coordinate(Point((0.0,) * 7))})
    assert locating.coordinates.own.cluster is not None
    assert locating.encoded() == encode_coordinate(locating.coordinates.own)


def test_nonsense_is_no_sample() -> None:
    locating = Locating(MeshSettings(), random.Random(1))
    locating.sample(b"a" * 32, 0.02, b"nonsense", 0.0)
    locating.sample(b"a" * 32, 0.02, None, 0.0)
    assert locating.samples == 0
