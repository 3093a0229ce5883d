"""How many examples hypothesis tries where the profile's number is too many or too few: less by day, more at night."""

import os

from hypothesis import settings

NIGHT_FACTOR = 10  # what takes seconds by day stays under a test's time limit


def is_nightly() -> bool:
    """Whether HYPOTHESIS_PROFILE asks for the long runs."""
    return os.environ.get("HYPOTHESIS_PROFILE", "quick") == "nightly"


def by_day(examples: int, stateful_step_count: int | None = None) -> settings:
    """So many examples by day, ten times as many at night. `stateful_step_count`: of a state machine."""
    chosen = settings(max_examples=examples * (NIGHT_FACTOR if is_nightly() else 1))
    return chosen if stateful_step_count is None else settings(chosen, stateful_step_count=stateful_step_count)
