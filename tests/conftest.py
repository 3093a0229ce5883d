"""Settings for every test: how hard hypothesis tries, and how the processes begin that tests start."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Many processes start here, and compiling takes longest. Python keeps what it compiled; `make clean` removes it.
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".pytest_cache" / "compiled")
os.environ["PYTHONDONTWRITEBYTECODE"] = ""
