"""The harness itself: what a test is told about a contract is what happened."""

import pytest
from tests.contracts.accounts import high_s, key_of
from tests.contracts.codec import Reverted
from tests.contracts.world import DAY_S, DOLLAR, World


def test_calls_events_and_gas(world: World) -> None:
    giver, taker = world.accounts[:2]
    before = world.token.call("balanceOf", taker)
    done = world.token.transact("transfer", taker, 5, sender=giver)
    assert done.event("Transfer").args == (giver.address, taker.address, 5)
    assert world.token.call("balanceOf", taker) == before + 5
    assert 30_000 < done.gas_used < 60_000


def test_errors_have_names_and_values(world: World) -> None:
    with pytest.raises(Reverted) as short:
        world.token.transact("transfer", world.accounts[1], 10**12, sender=world.accounts[0])
    assert (short.value.name, short.value.values) == ("Error", ("ERC20: transfer amount exceeds balance",))
    world.token.transact("faucet", sender=world.accounts[0])
    with pytest.raises(Reverted) as early:
        world.token.transact("faucet", sender=world.accounts[0])
    assert early.value.name == "FaucetTooSoon"


def test_time_travels_for_calls_too(world: World) -> None:
    world.token.transact("faucet", sender=world.accounts[0])
    with pytest.raises(Reverted):
        world.token.call("faucet", sender=world.accounts[0])
    world.travel(DAY_S)
    world.token.call("faucet", sender=world.accounts[0])
    world.token.transact("faucet", sender=world.accounts[0])
    assert world.token.call("balanceOf", world.accounts[0]) == 12_000 * DOLLAR


def test_forks_leave_no_trace(world: World) -> None:
    started_s = world.now_s
    with world.fork():
        world.travel(DAY_S)
        world.token.transact("transfer", world.accounts[1], 5, sender=world.accounts[0])
    assert world.token.call("balanceOf", world.accounts[0]) == 10_000 * DOLLAR
    assert world.now_s == started_s


def test_anyone_can_speak_and_contracts_can_be_deployed(world: World) -> None:
    holder = key_of("somebody new")
    token = world.deploy("TestUSDC", holder, [holder], 7)
    token.transact("transfer", world.timelock, 7, sender=holder)
    token.transact("transfer", holder, 3, sender=world.timelock)
    assert token.call("balanceOf", world.timelock) == 4


def test_the_mirrored_signature_is_another(world: World) -> None:
    signature = world.accounts[0].sign(bytes(32))
    assert len(signature) == 65
    assert high_s(signature) != signature
    assert high_s(high_s(signature)) == signature
