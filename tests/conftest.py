"""Settings for every test: how hard hypothesis tries, what starts first, how the processes begin that tests start."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# By day the same examples in every run, so that a run is red by what was changed; `make fuzz` looks for new ones.
settings.register_profile(
    "quick", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("nightly", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Many processes start here, and compiling takes longest. Python keeps what it compiled; `make clean` removes it.
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".pytest_cache" / "compiled")
os.environ["PYTHONDONTWRITEBYTECODE"] = ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with most slow tests come first: where several run at a time, none of them is what all others wait for."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])  # stable: a file's tests stay together, in their order
