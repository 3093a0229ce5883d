"""TestUSDC behaves like the real one: words of errors, freezing, permits, transfers by signature, and one faucet."""

from typing import Any

import pytest
from tests.contracts.accounts import TestAccount, high_s, key_of
from tests.contracts.channels import FOREVER, struct_hash, token_domain
from tests.contracts.codec import Reverted
from tests.contracts.trickery import Answer, hostile
from tests.contracts.world import DAY_S, DOLLAR, ZERO, World

PERMIT_TYPE = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
MEMBERS = "(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
CANCEL_TYPE = "CancelAuthorization(address authorizer,bytes32 nonce)"
NONCE = bytes(31) + b"\x05"


def in_parts(signature: bytes) -> tuple[int, bytes, bytes]:
    """v, r, s."""
    return signature[64], signature[:32], signature[32:64]


def sign_permit(world: World, owner: TestAccount, spender: TestAccount, value: int, deadline_s: int) -> bytes:
    types = ["address", "address", "uint256", "uint256", "uint256"]
    values = [owner.address, spender.address, value, world.token.call("nonces", owner), deadline_s]
    return owner.sign(token_domain(world).digest(struct_hash(PERMIT_TYPE, types, values)))


def authorize(world: World, kind: str, signer: TestAccount, *values: Any) -> bytes:
    """`kind` is Transfer or Receive; the values are the type's members."""
    types = ["address", "address", "uint256", "uint256", "uint256", "bytes32"]
    content = struct_hash(f"{kind}WithAuthorization{MEMBERS}", types, list(values))
    return signer.sign(token_domain(world).digest(content))


# --- ERC-20 ------------------------------------------------------------------------------------------------------


def test_it_says_what_it_is(world: World) -> None:
    said = [world.token.call(name) for name in ("name", "symbol", "version", "currency", "decimals")]
    assert said == ["USDC", "USDC", "2", "USD", 6]
    assert world.token.call("totalSupply") == 10 * 10_000 * DOLLAR


def test_an_allowance_shrinks_even_the_largest(world: World) -> None:
    owner, spender, taker = world.accounts[:3]
    world.token.transact("approve", spender, FOREVER, sender=owner)
    world.token.transact("transferFrom", owner, taker, 5, sender=spender)
    assert world.token.call("allowance", owner, spender) == FOREVER - 5
    world.token.transact("approve", spender, 7, sender=owner)
    world.token.transact("increaseAllowance", spender, 3, sender=owner)
    world.token.transact("decreaseAllowance", spender, 4, sender=owner)
    with pytest.raises(Reverted, match="ERC20: transfer amount exceeds allowance"):
        world.token.transact("transferFrom", owner, taker, 7, sender=spender)
    with pytest.raises(Reverted, match="ERC20: decreased allowance below zero"):
        world.token.transact("decreaseAllowance", spender, 7, sender=owner)


def test_nobody_sends_what_he_has_not_or_to_nowhere(world: World) -> None:
    poor = key_of("poor")
    with pytest.raises(Reverted, match="ERC20: transfer amount exceeds balance"):
        world.token.transact("transfer", world.accounts[0], 1, sender=poor)
    with pytest.raises(Reverted, match="ERC20: transfer to the zero address"):
        world.token.transact("transfer", ZERO, 1, sender=world.accounts[0])
    with pytest.raises(Reverted, match="ERC20: approve to the zero address"):
        world.token.transact("approve", ZERO, 1, sender=world.accounts[0])


def test_sending_to_oneself_changes_nothing(world: World) -> None:
    world.token.transact("transfer", world.accounts[0], 5, sender=world.accounts[0])
    assert world.token.call("balanceOf", world.accounts[0]) == 10_000 * DOLLAR


# --- freezing ----------------------------------------------------------------------------------------------------


def test_a_frozen_account_neither_sends_nor_receives_nor_spends(world: World) -> None:
    blacklister, frozen, other = world.accounts[:3]
    world.token.transact("approve", frozen, 100, sender=other)
    done = world.token.transact("blacklist", frozen, sender=blacklister)
    assert done.event("Blacklisted").args == (frozen.address,)
    assert world.token.call("isBlacklisted", frozen)
    assert world.token.call("balanceOf", frozen) == 10_000 * DOLLAR
    tries = [
        ("transfer", (other, 1), frozen),
        ("transfer", (frozen, 1), other),
        ("transferFrom", (other, other, 1), frozen),
        ("faucet", (), frozen),
    ]
    for function, arguments, sender in tries:
        with pytest.raises(Reverted, match="Blacklistable: account is blacklisted"):
            world.token.transact(function, *arguments, sender=sender)
    world.token.transact("unBlacklist", frozen, sender=blacklister)
    world.token.transact("transfer", other, 1, sender=frozen)


def test_only_the_blacklister_freezes(world: World) -> None:
    for function in ("blacklist", "unBlacklist", "updateBlacklister"):
        with pytest.raises(Reverted, match="Blacklistable: caller is not the blacklister"):
            world.token.transact(function, world.accounts[3], sender=world.accounts[3])
    world.token.transact("updateBlacklister", world.accounts[3], sender=world.accounts[0])
    world.token.transact("blacklist", world.accounts[0], sender=world.accounts[3])
    with pytest.raises(Reverted, match="new blacklister is the zero address"):
        world.token.transact("updateBlacklister", ZERO, sender=world.accounts[3])


# --- the faucet --------------------------------------------------------------------------------------------------


def test_the_faucet_gives_a_thousand_a_day(world: World) -> None:
    poor = key_of("poor")
    assert world.token.transact("faucet", sender=poor).event("Transfer").args == (ZERO, poor.address, 1_000 * DOLLAR)
    available_s = world.token.call("faucetAvailableAt", poor)
    with pytest.raises(Reverted, match="FaucetTooSoon") as early:
        world.token.transact("faucet", sender=poor)
    assert early.value.values == (available_s,)
    world.travel_to(available_s)
    world.token.transact("faucet", sender=poor)
    assert world.token.call("balanceOf", poor) == 2_000 * DOLLAR
    assert world.token.call("faucetAvailableAt", poor) == available_s + DAY_S


def test_nothing_else_mints(world: World) -> None:
    """No function of another name exists that could."""
    names = {entry["name"] for entry in world.token.codec.functions}
    changing = {entry["name"] for entry in world.token.codec.functions if entry["stateMutability"] == "nonpayable"}
    assert changing == {
        *("transfer", "transferFrom", "approve", "increaseAllowance", "decreaseAllowance", "permit", "faucet"),
        *("transferWithAuthorization", "receiveWithAuthorization", "cancelAuthorization"),
        *("blacklist", "unBlacklist", "updateBlacklister"),
    }
    assert changing < names


# --- permits -----------------------------------------------------------------------------------------------------


def test_a_permit_counts_once(world: World) -> None:
    owner, spender = world.accounts[1:3]
    for signature_of in (lambda s: (s,), in_parts):
        signature = signature_of(sign_permit(world, owner, spender, 9, FOREVER))
        world.token.transact("permit", owner, spender, 9, FOREVER, *signature, sender=spender)
        assert world.token.call("allowance", owner, spender) == 9
        with pytest.raises(Reverted, match="EIP2612: invalid signature"):
            world.token.transact("permit", owner, spender, 9, FOREVER, *signature, sender=spender)


def test_a_permit_ends(world: World) -> None:
    owner, spender = world.accounts[1:3]
    deadline_s = world.now_s + 10
    signature = sign_permit(world, owner, spender, 9, deadline_s)
    world.travel_to(deadline_s + 1)
    with pytest.raises(Reverted, match="FiatTokenV2: permit is expired"):
        world.token.transact("permit", owner, spender, 9, deadline_s, signature, sender=spender)


def test_a_contract_can_permit(world: World) -> None:
    wallet = world.deploy(hostile("TrickWallet"), Answer.YES)
    world.token.transact("permit", wallet, world.accounts[0], 9, FOREVER, b"its own way", sender=ZERO)
    assert world.token.call("allowance", wallet, world.accounts[0]) == 9


# --- transfers by signature --------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [False, True])
def test_a_signed_transfer_counts_once(world: World, parts: bool) -> None:
    giver, taker = world.accounts[1:3]
    values = (giver.address, taker.address, 5, 0, FOREVER, NONCE)
    signature = authorize(world, "Transfer", giver, *values)
    arguments = (*values, *(in_parts(signature) if parts else (signature,)))
    done = world.token.transact("transferWithAuthorization", *arguments, sender=world.accounts[9])
    assert done.event("AuthorizationUsed").args == (giver.address, NONCE)
    assert done.event("Transfer").args == (giver.address, taker.address, 5)
    assert world.token.call("authorizationState", giver, NONCE)
    with pytest.raises(Reverted, match="FiatTokenV2: authorization is used or canceled"):
        world.token.transact("transferWithAuthorization", *arguments, sender=world.accounts[9])


@pytest.mark.parametrize("parts", [False, True])
def test_only_the_payee_can_receive(world: World, parts: bool) -> None:
    giver, taker = world.accounts[1:3]
    values = (giver.address, taker.address, 5, 0, FOREVER, NONCE)
    signature = authorize(world, "Receive", giver, *values)
    arguments = (*values, *(in_parts(signature) if parts else (signature,)))
    with pytest.raises(Reverted, match="FiatTokenV2: caller must be the payee"):
        world.token.transact("receiveWithAuthorization", *arguments, sender=world.accounts[9])
    with pytest.raises(Reverted, match="FiatTokenV2: invalid signature"):
        world.token.transact("transferWithAuthorization", *arguments, sender=taker)
    world.token.transact("receiveWithAuthorization", *arguments, sender=taker)


def test_an_authorization_has_its_time(world: World) -> None:
    giver, taker = world.accounts[1:3]
    start_s = world.now_s + 100
    values = (giver.address, taker.address, 5, start_s, start_s + 100, NONCE)
    signature = authorize(world, "Transfer", giver, *values)
    for moment_s, error in ((start_s, "not yet valid"), (start_s + 100, "expired")):
        world.travel_to(moment_s)
        with pytest.raises(Reverted, match=error):
            world.token.call("transferWithAuthorization", *values, signature)


@pytest.mark.parametrize("parts", [False, True])
def test_an_authorization_can_be_cancelled(world: World, parts: bool) -> None:
    giver, taker = world.accounts[1:3]
    content = struct_hash(CANCEL_TYPE, ["address", "bytes32"], [giver.address, NONCE])
    signature = giver.sign(token_domain(world).digest(content))
    arguments = (giver, NONCE, *(in_parts(signature) if parts else (signature,)))
    done = world.token.transact("cancelAuthorization", *arguments, sender=taker)
    assert done.event("AuthorizationCanceled").args == (giver.address, NONCE)
    values = (giver.address, taker.address, 5, 0, FOREVER, NONCE)
    with pytest.raises(Reverted, match="used or canceled"):
        world.token.transact(
            "transferWithAuthorization", *values, authorize(world, "Transfer", giver, *values), sender=taker
        )
    with pytest.raises(Reverted, match="used or canceled"):
        world.token.transact("cancelAuthorization", *arguments, sender=taker)


def test_bad_signatures_do_not_count(world: World) -> None:
    giver, taker = world.accounts[1:3]
    values = (giver.address, taker.address, 5, 0, FOREVER, NONCE)
    good = authorize(world, "Transfer", giver, *values)
    for bad in (high_s(good), good[:64], b"", bytes(65), authorize(world, "Transfer", taker, *values)):
        with pytest.raises(Reverted, match="FiatTokenV2: invalid signature"):
            world.token.transact("transferWithAuthorization", *values, bad, sender=taker)
    zero = (ZERO, *values[1:])
    with pytest.raises(Reverted, match="FiatTokenV2: invalid signature"):
        world.token.transact("transferWithAuthorization", *zero, bytes(65), sender=taker)


def test_frozen_parties_cannot_use_signatures(world: World) -> None:
    giver, taker = world.accounts[1:3]
    values = (giver.address, taker.address, 5, 0, FOREVER, NONCE)
    signature = authorize(world, "Transfer", giver, *values)
    for frozen in (giver, taker):
        with world.fork():
            world.token.transact("blacklist", frozen, sender=world.accounts[0])
            with pytest.raises(Reverted, match="Blacklistable: account is blacklisted"):
                world.token.transact("transferWithAuthorization", *values, signature, sender=world.accounts[5])
