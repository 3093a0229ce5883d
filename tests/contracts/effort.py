"""How hard the machines try: short runs in `make test`, long ones at night."""

from typing import Final

from hypothesis import HealthCheck, Phase, settings
from tests.depth import is_nightly

STEPS_NIGHTLY: Final = 50
NIGHTLY_TIMEOUT_S: Final = 2 * 3_600  # for one test: 2,000 examples of 50 steps of 25 ms take 42 minutes
STEPS: Final = 20
EXAMPLES: Final = 20  # all of tests/contracts in less than three minutes on two cores


def machine_settings(examples: int = EXAMPLES, steps: int = STEPS) -> settings:
    """Of a state machine."""
    if is_nightly():
        return settings(settings.get_profile("nightly"), stateful_step_count=STEPS_NIGHTLY)
    return settings(
        settings.get_profile("quick"),
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
    )


def hunt_settings(examples: int) -> settings:
    """Of a machine that must find a planted fault: the same runs each time, and no shrinking of what was found."""
    return settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
