"""The systems of coordinates by name, and which of them is the default.

| name | space | levels | filters |
|---|---|---|---|
| vivaldi | springs, 7 dimensions and height | one | none |
| serf | springs with Serf's defaults | one | median of 3, adjustment, gravity |
| pharos | springs | two | none |
| pcoord | fit to 10 references, squared errors | one | none |
| nearcast | robust fit to 32 references, guarded | two | median of 3 |

`nearcast` is the default: of the five it has the smallest errors in a flash crowd (100 samples, five seeds, PlanetLab's
matrix). The scenarios coordinates*.toml measure the rest.
"""

from typing import TYPE_CHECKING

from nearcast.errors import UsageError
from nearcast.overlay.coordinates.base import Coordinates
from nearcast.overlay.coordinates.filters import MEDIAN_OF
from nearcast.overlay.coordinates.pcoord import ROBUST, Batches, FitSettings
from nearcast.overlay.coordinates.pharos import OneLevel, TwoLevels
from nearcast.overlay.coordinates.vivaldi import SERF, Springs, SpringSettings

if TYPE_CHECKING:
    import random

COORDINATE_SYSTEMS = ("vivaldi", "serf", "pharos", "pcoord", "nearcast")
DEFAULT_SYSTEM = "nearcast"
_PHAROS = SpringSettings(dimensions=7)  # GLOBECOM 2007: 7 dimensions; a height as Vivaldi has it


def make_coordinates(name: str, rng: "random.Random") -> Coordinates:
    """UsageError: no system of that name."""
    match name:
        case "vivaldi":
            return OneLevel(lambda: Springs(_PHAROS, rng), rng)
        case "serf":
            return OneLevel(lambda: Springs(SERF, rng), rng, MEDIAN_OF)
        case "pharos":
            return TwoLevels(lambda: Springs(_PHAROS, rng), rng)
        case "pcoord":
            return OneLevel(lambda: Batches(FitSettings(), rng), rng)
        case "nearcast":
            return TwoLevels(lambda: Batches(ROBUST, rng), rng, MEDIAN_OF)
        case _:
            raise UsageError(
                f"no system of network coordinates is called {name!r}", fix=f"one of {', '.join(COORDINATE_SYSTEMS)}"
            )
