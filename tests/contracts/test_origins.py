"""Publishers propose origins of their own namespaces, governance recognises them, either ends it."""

from functools import partial
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from tests.contracts.accounts import key_of
from tests.contracts.court_stage import NOBODY, refusal
from tests.contracts.registrations import Node, join, node_of, send, sign
from tests.contracts.world import DAY_S, World

NONE, PROPOSED, RECOGNISED, REVOKED = range(4)  # IOrigins.Status
PUBLISHER = key_of("a publisher")
LABEL = "films"


class Stage:
    """A publisher, a node, the contract."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.node: Node = join(world, 1)
        self.namespace: bytes = world.origins.call("namespaceOf", PUBLISHER, LABEL)

    def publish(self, function: str, operator: Any = None, who: Any = PUBLISHER, label: str = LABEL) -> Any:
        return self.world.origins.transact(function, label, operator or self.node, sender=who)

    def govern(self, function: str, operator: Any = None) -> Any:
        args = (self.namespace, operator or self.node)
        return self.world.origins.transact(function, *args, sender=self.world.timelock)

    @property
    def status(self) -> int:
        return int(self.world.origins.call("statusOf", self.namespace, self.node))

    @property
    def recognised(self) -> bool:
        return bool(self.world.origins.call("isRecognised", self.namespace, self.node))

    @property
    def listed(self) -> Any:
        return self.world.origins.call("origins", self.namespace, 0, 100)


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)


def test_a_namespace_is_its_publishers(stage: Stage) -> None:
    assert stage.namespace == keccak(encode(["address", "string"], [PUBLISHER.address, LABEL]))
    thief = key_of("a thief")
    done = stage.publish("propose", who=thief)
    assert done.event("NamespaceOpened").args[1:] == (thief.address, LABEL)
    assert done.event("NamespaceOpened").namespaceId != stage.namespace
    assert stage.status == NONE
    for function in ("withdrawProposal", "renounce"):
        stage_status = partial(stage.publish, function, who=PUBLISHER)
        assert refusal(stage_status) == "WrongStatus"


def test_proposed_recognised_revoked_and_proposed_again(stage: Stage) -> None:
    done = stage.publish("propose")
    assert done.event("OriginStatus").args == (stage.namespace, stage.node.address, PROPOSED)
    assert (stage.status, stage.recognised) == (PROPOSED, False)
    stage.govern("recognise")
    assert (stage.status, stage.recognised) == (RECOGNISED, True)
    assert stage.listed == ((stage.node.address, RECOGNISED, True),)
    stage.govern("revoke")
    assert (stage.status, stage.recognised) == (REVOKED, False)
    assert not stage.publish("propose").named("NamespaceOpened")
    assert stage.listed == ((stage.node.address, PROPOSED, True),)
    stage.govern("revoke")  # a proposal refused
    assert stage.status == REVOKED


def test_the_publisher_takes_back_and_gives_up(stage: Stage) -> None:
    stage.publish("propose")
    stage.publish("withdrawProposal")
    assert (stage.status, stage.listed) == (NONE, ())
    stage.publish("propose")
    stage.govern("recognise")
    assert refusal(partial(stage.publish, "withdrawProposal")) == "WrongStatus"
    stage.publish("renounce")
    assert (stage.status, stage.listed) == (NONE, ())


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        ([], ["withdrawProposal", "renounce", "recognise", "revoke"]),
        (["propose"], ["propose", "renounce"]),
        (["propose", "recognise"], ["propose", "withdrawProposal", "recognise"]),
        (["propose", "revoke"], ["withdrawProposal", "renounce", "recognise", "revoke"]),
        (["propose", "withdrawProposal"], ["withdrawProposal", "renounce", "recognise", "revoke"]),
    ],
)
def test_every_step_needs_the_one_before(stage: Stage, before: list[str], refused: list[str]) -> None:
    def do(function: str) -> None:
        stage.govern(function) if function in ("recognise", "revoke") else stage.publish(function)

    for function in before:
        do(function)
    for function in refused:
        assert refusal(partial(do, function)) == "WrongStatus", function


def test_only_governance_recognises_and_revokes(stage: Stage) -> None:
    stage.publish("propose")
    for function in ("recognise", "revoke"):
        for sender in (PUBLISHER, stage.node, stage.world.accounts[0]):
            attempt = partial(stage.world.origins.transact, function, stage.namespace, stage.node, sender=sender)
            assert refusal(attempt) == "OnlyGovernance"


def test_only_active_nodes_are_recognised_and_count(stage: Stage) -> None:
    stranger = node_of(stage.world, 5)
    stage.publish("propose", stranger)
    assert refusal(partial(stage.govern, "recognise", stranger)) == "InactiveNode"
    stage.publish("propose")
    stage.govern("recognise")
    with stage.world.fork():
        stage.world.registry.transact("deregister", sender=stage.node)
        assert (stage.status, stage.recognised) == (RECOGNISED, False)
        assert stage.listed[1] == (stage.node.address, RECOGNISED, False)
        stage.world.travel(DAY_S)
        send(stage.world, sign(stage.world, stage.node))
        assert stage.recognised
    stage.world.registry.transact("eject", stage.node, sender=stage.world.timelock)
    assert not stage.recognised


def test_labels_have_a_size_and_nodes_an_address(stage: Stage) -> None:
    assert refusal(partial(stage.publish, "propose", label="")) == "BadLabel"
    assert refusal(partial(stage.publish, "propose", label="x" * 65)) == "BadLabel"
    assert refusal(partial(stage.publish, "propose", operator=NOBODY)) == "ZeroAddress"
    stage.publish("propose", label="x" * 64)


def test_pages_of_namespaces_and_origins(stage: Stage) -> None:
    operators = [key_of(f"operator {number}") for number in range(5)]
    for operator in operators:
        stage.publish("propose", operator)
    for label in ("music", "maps"):
        stage.publish("propose", label=label)
    call = stage.world.origins.call
    assert call("namespaceCount") == 3
    assert [row.label for row in call("namespaces", 0, 2**256 - 1)] == [LABEL, "music", "maps"]
    assert [row.label for row in call("namespaces", 1, 1)] == ["music"]
    assert {row.publisher for row in call("namespaces", 0, 3)} == {PUBLISHER.address}
    stage.publish("withdrawProposal", operators[1])
    stage.publish("withdrawProposal", operators[4])
    left = {operators[place].address for place in (0, 2, 3)}
    assert {row.operator for row in stage.listed} == left
    assert call("originCount", stage.namespace) == 3
    assert call("origins", stage.namespace, 3, 1) == call("origins", stage.namespace, 2**256 - 1, 2**256 - 1) == ()
    for place in (0, 2, 3):
        stage.publish("withdrawProposal", operators[place])
    assert stage.listed == ()
