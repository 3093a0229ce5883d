"""What may be configured is what there is."""

from nearcast import config
from nearcast.config import OverlayConfig
from nearcast.overlay.coordinates.choose import COORDINATE_SYSTEMS, DEFAULT_SYSTEM
from nearcast.overlay.failure.choosing import DETECTORS
from nearcast.overlay.settings import mesh_settings


def test_every_system_of_coordinates_can_be_chosen() -> None:
    assert set(config.COORDINATES) == set(COORDINATE_SYSTEMS)
    assert OverlayConfig().coordinates == DEFAULT_SYSTEM


def test_every_detector_that_can_be_chosen_exists() -> None:
    for detector in config.DETECTORS:
        assert mesh_settings(OverlayConfig(detector=detector)).detector in DETECTORS
