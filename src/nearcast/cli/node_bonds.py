"""The bond after registration: more of it, less of it, and getting it back."""

from typing import TYPE_CHECKING

from nearcast.cli.dry_run import Plan
from nearcast.cli.hexwords import address_text
from nearcast.cli.moments import due_text, duration_text
from nearcast.cli.money import usdc_text
from nearcast.cli.permits import permit_call
from nearcast.cli.registry_reads import NodeState, node_of
from nearcast.cli.transacting import resume, transact
from nearcast.errors import FundsError, NotFoundError, RevertedError

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session


async def add_to_bond(session: "Session", operator: bytes | None, amount_units: int) -> None:
    """Pay into a node's bond."""
    operator = operator or session.wallet_address
    sent = await resume(session) or await transact(session, await _topping_up(session, operator, amount_units))
    if sent is None:
        return
    await session.refresh()
    node = await node_of(session, operator)
    value = {"operator": address_text(operator), "added_units": amount_units, "bonded_units": node.bonded_units}
    lines = [f"added {usdc_text(amount_units)}: the bond is {usdc_text(node.bonded_units)}", *sent.lines()]
    session.output.result(value | sent.value(), lines=lines, essential=[usdc_text(node.bonded_units)])


async def _topping_up(session: "Session", operator: bytes, amount_units: int) -> Plan:
    from nearcast.chain.abi import contract

    await _registered(session, operator)
    await session.check_token_balance(amount_units)
    top_up = contract("Registry").encode_call("topUp", (operator, amount_units))
    effects = (f"{usdc_text(amount_units)} move from the wallet to the bond of {address_text(operator)}",)
    return Plan("Registry", "multicall", ((await permit_call(session, amount_units), top_up),), effects)


async def unbond(session: "Session", amount_units: int | None) -> None:
    """Free a part of the bond, or with None all of it, which ends the registration."""
    operator = session.wallet_address
    sent = await resume(session) or await transact(session, await _unbonding(session, operator, amount_units))
    if sent is None:
        return
    await session.refresh()
    started = sent.event("UnbondingStarted") or {"amount": 0, "availableAt": 0}
    node = await node_of(session, operator)
    value = {
        "operator": address_text(operator),
        "unbonding_units": started["amount"],
        "available_at": started["availableAt"],
        "bonded_units": node.bonded_units,
        "registered": node.registered,
    }
    text = usdc_text(started["amount"])
    lines = [
        f"unbonding {text}, due {due_text(started['availableAt'], session.now_s)}",
        "  nearcast node withdraw gets it then",
        *sent.lines(),
    ]
    session.output.result(value | sent.value(), lines=lines, essential=[text])


async def _unbonding(session: "Session", operator: bytes, amount_units: int | None) -> Plan:
    node = await _registered(session, operator)
    units = node.bonded_units if amount_units is None else amount_units
    if amount_units is not None and units > node.bonded_units:
        raise FundsError(f"the bond is {usdc_text(node.bonded_units)}", fix="nearcast node status shows it")
    period_s = await session.read("Registry", "unbondingPeriod")
    effects = [f"{usdc_text(units)} of the bond can be withdrawn in {duration_text(period_s)}; until then slashable"]
    if amount_units is None:
        effects.append("the node leaves the registry, and its hot key is retired")
        return Plan("Registry", "deregister", (), tuple(effects))
    return Plan("Registry", "unbond", (units,), tuple(effects))


async def withdraw_bond(session: "Session", to: bytes | None) -> None:
    """Get back what has waited long enough."""
    operator = session.wallet_address
    sent = await resume(session) or await transact(session, await _withdrawing(session, operator, to or operator))
    if sent is None:
        return
    paid = sent.event("Withdrawn") or {"to": to or operator, "amount": 0}
    receiver, text = address_text(paid["to"]), usdc_text(paid["amount"])
    value = {"operator": address_text(operator), "to": receiver, "withdrawn_units": paid["amount"]}
    session.output.result(
        value | sent.value(), lines=[f"withdrew {text} to {receiver}", *sent.lines()], essential=[text]
    )


async def _withdrawing(session: "Session", operator: bytes, receiver: bytes) -> Plan:
    units = await session.read("Registry", "withdrawable", operator)
    if not units:
        amounts, available_at = await session.read("Registry", "unbondings", operator)
        if not amounts:
            raise RevertedError("nothing is unbonding", fix="nearcast node unbond frees a part of the bond")
        raise RevertedError(
            f"nothing can be withdrawn yet: {usdc_text(amounts[0])} are due {due_text(available_at[0], session.now_s)}"
        )
    effects = (f"{usdc_text(units)} move from the registry to {address_text(receiver)}",)
    return Plan("Registry", "withdraw", (receiver,), effects)


async def _registered(session: "Session", operator: bytes) -> NodeState:
    node = await node_of(session, operator)
    if not node.registered:
        raise NotFoundError(
            f"the operator {address_text(operator)} has no node in the registry", fix="nearcast node register enters it"
        )
    return node
