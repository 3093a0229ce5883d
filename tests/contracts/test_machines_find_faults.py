"""The machines can fail: each of these contracts is broken in one place, and the machine must find out.

Quick runs try a few. The compiler takes seconds for each, a quarter of a minute for the court, so the others are for
the nightly profile: `HYPOTHESIS_PROFILE=nightly pytest tests/contracts/test_machines_find_faults.py`.
"""

from typing import Any

import pytest
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from tests.contracts.effort import hunt_settings
from tests.contracts.settlement_stage import Stage
from tests.contracts.test_machine_court import CourtMachine
from tests.contracts.test_machine_settlement import SettlementMachine
from tests.contracts.variants import COURT, SETTLEMENT, Variant, compile_variants
from tests.contracts.world import World
from tests.depth import is_nightly

from nearcast.chain.artifacts import Artifact, artifact

TRIED = SETTLEMENT + COURT if is_nightly() else SETTLEMENT[:4]


@pytest.fixture(scope="session")
def compiled() -> dict[str, Artifact]:
    return compile_variants(TRIED)


def settlement_machine(broken: Artifact) -> type[RuleBasedStateMachine]:
    stage = Stage(World(), broken)

    class Broken(SettlementMachine):
        set_stage = staticmethod(lambda: stage)

    return Broken


def court_machine(broken: Artifact) -> type[RuleBasedStateMachine]:
    """The broken contract in the place of the packaged one, among the others."""
    world = World()
    args: dict[str, tuple[Any, ...]] = {
        "Court": (world.token, world.registry, world.blacklist, world.timelock),
        "Blacklist": (world.timelock, world.accounts[0]),
        "Registry": (world.token, world.timelock, world.court),
    }
    world.replace(broken, *args[broken.name])

    class Broken(CourtMachine):
        set_world = staticmethod(lambda: world)

    return Broken


@pytest.mark.slow
@pytest.mark.parametrize("variant", TRIED, ids=lambda variant: variant.name.replace(" ", "-"))
def test_a_broken_contract_is_found(variant: Variant, compiled: dict[str, Artifact]) -> None:
    is_settlement = variant in SETTLEMENT
    broken = compiled[variant.name]
    machine = settlement_machine(broken) if is_settlement else court_machine(broken)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=hunt_settings(150 if is_settlement else 600))


@pytest.mark.parametrize("name", ["BatchSettlement", "Court", "Blacklist", "Registry"])
def test_the_packaged_contract_passes_on_the_same_stage(name: str) -> None:
    """Else it would be the stage that is found, not the fault."""
    machine = (settlement_machine if name == "BatchSettlement" else court_machine)(artifact(name))
    run_state_machine_as_test(machine, settings=hunt_settings(5))
