"""The machines can fail: each of these contracts is broken in one place, and the machine must find out.

Quick runs try a few; the compiler takes seconds for each, so the others are for the nightly profile:
`HYPOTHESIS_PROFILE=nightly pytest tests/contracts/test_machines_find_faults.py`.
"""

import pytest
from hypothesis.stateful import run_state_machine_as_test
from tests.contracts.effort import hunt_settings, is_nightly
from tests.contracts.settlement_stage import Stage
from tests.contracts.test_machine_settlement import SettlementMachine
from tests.contracts.variants import SETTLEMENT, Variant, compile_variants
from tests.contracts.world import World

from nearcast.chain.artifacts import Artifact

EXAMPLES = 150
TRIED = SETTLEMENT if is_nightly() else SETTLEMENT[:4]


@pytest.fixture(scope="session")
def settlements() -> dict[str, Artifact]:
    return compile_variants(TRIED)


@pytest.mark.slow
@pytest.mark.parametrize("variant", TRIED, ids=lambda variant: variant.name.replace(" ", "-"))
def test_a_broken_settlement_is_found(variant: Variant, settlements: dict[str, Artifact]) -> None:
    stage = Stage(World(), settlements[variant.name])

    class Broken(SettlementMachine):
        set_stage = staticmethod(lambda: stage)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Broken, settings=hunt_settings(EXAMPLES))
