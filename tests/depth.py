"""How many examples hypothesis tries where the profile's number is too many or too few: less by day, more at night."""

import os

from hypothesis import settings

NIGHT_FACTOR = 10  # what takes seconds by day stays under a test's time limit


def is_nightly() -> bool:
    """Whether HYPOTHESIS_PROFILE asks for the long runs."""
    return os.environ.get("HYPOTHESIS_PROFILE", "quick") == "nightly"


def by_day(examples: int, **others: int) -> settings:
    """So many examples by day, ten times as many at night. `others`: hypothesis' further settings."""
    examples *= NIGHT_FACTOR if is_nightly() else 1
    return settings(max_examples=examples, **others)  # type: ignore[arg-type] # all numbers
