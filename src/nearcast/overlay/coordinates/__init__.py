"""Network coordinates: how far any peer is, from a few measured round-trip times. base.py is the interface."""

from nearcast.overlay.coordinates.base import Coordinates
from nearcast.overlay.coordinates.choose import COORDINATE_SYSTEMS, DEFAULT_SYSTEM, make_coordinates
from nearcast.overlay.coordinates.coordinate import Coordinate, Point, encode_coordinate, estimate_s, parse_coordinate
from nearcast.overlay.coordinates.nearest import confidence, nearest

__all__ = [
    "COORDINATE_SYSTEMS",
    "DEFAULT_SYSTEM",
    "Coordinate",
    "Coordinates",
    "Point",
    "confidence",
    "encode_coordinate",
    "estimate_s",
    "make_coordinates",
    "nearest",
    "parse_coordinate",
]
