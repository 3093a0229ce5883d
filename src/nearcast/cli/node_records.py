"""Registering a node and changing its record: one transaction, with the permit for the bond inside it."""

import os
from typing import TYPE_CHECKING, Any

from nearcast.cli.dry_run import Plan
from nearcast.cli.hexwords import address_text
from nearcast.cli.identity import IDENTITY_FILE
from nearcast.cli.keyring import hot_key_file
from nearcast.cli.money import usdc_text
from nearcast.cli.output import printable
from nearcast.cli.permits import permit_call
from nearcast.cli.registry_reads import NodeState, last_record, node_of
from nearcast.cli.transacting import Sent, resume, transact
from nearcast.errors import ChainError, NotFoundError, RevertedError

if TYPE_CHECKING:
    from nearcast.chain.registration import Registration, SignedRegistration
    from nearcast.chain.signing import Signer
    from nearcast.cli.chain_session import Session
    from nearcast.keys import Identity


async def register_node(session: "Session", mbps: int, region: str, price_units: int, urls: tuple[str, ...]) -> None:
    """Enter the registry with a bond for `mbps`."""
    sent = await resume(session)
    if sent is None:
        sent = await transact(session, await _entering(session, mbps, region, price_units, urls))
    if sent is not None:
        await _tell(session, sent, "registered")


async def _entering(session: "Session", mbps: int, region: str, price_units: int, urls: tuple[str, ...]) -> Plan:
    operator = session.wallet_address
    node = await node_of(session, operator)
    if node.registered:
        raise RevertedError(
            f"the operator {address_text(operator)} is registered already",
            fix="nearcast node update changes its record",
        )
    registration, hot_key, identity = _registration(session, operator, mbps, region, price_units, urls)
    bond_units = await session.read("Registry", "bondFor", mbps)
    await session.check_token_balance(bond_units)
    effects = (
        f"{usdc_text(bond_units)} move from the wallet to the bond, for {mbps:,} Mbit/s",
        f"the node {identity.endpoint_id.hex()[:16]}… stands in the registry for {region},"
        f" at {usdc_text(price_units)} per GiB",
        f"the hot key {address_text(hot_key.address)} signs its offers; it can be replaced, not given to another",
    )
    signed = _signed(session, registration, node.nonce, hot_key, identity)
    return await _plan(session, "register", signed, bond_units, effects)


async def update_node(
    session: "Session",
    mbps: int | None,
    region: str | None,
    price_units: int | None,
    urls: tuple[str, ...] | None,
) -> None:
    """Change what the record says; None stays."""
    sent = await resume(session)
    if sent is None:
        sent = await transact(session, await _changing(session, mbps, region, price_units, urls))
    if sent is not None:
        await _tell(session, sent, "updated")


async def _changing(
    session: "Session",
    mbps: int | None,
    region: str | None,
    price_units: int | None,
    urls: tuple[str, ...] | None,
) -> Plan:
    operator = session.wallet_address
    node = await node_of(session, operator)
    record = await last_record(session, operator)
    if not node.registered or record is None:
        raise NotFoundError(
            f"the operator {address_text(operator)} has no node in the registry", fix="nearcast node register enters it"
        )
    registration, hot_key, identity = _registration(
        session,
        operator,
        node.mbps if mbps is None else mbps,
        region or node.region,
        record.price_units_per_gib if price_units is None else price_units,
        record.urls if urls is None else urls,
    )
    bond_units = 0 if registration.mbps == node.mbps else await session.read("Registry", "bondFor", registration.mbps)
    missing_units = max(0, bond_units - node.bonded_units)
    await session.check_token_balance(missing_units)
    effects = (
        "the record becomes: "
        + _words(registration.mbps, registration.region, registration.price_units_per_gib, registration.urls),
        *_bond_effects(node, bond_units),
    )
    signed = _signed(session, registration, node.nonce, hot_key, identity)
    return await _plan(session, "update", signed, missing_units, effects)


def _bond_effects(node: NodeState, bond_units: int) -> tuple[str, ...]:
    if bond_units > node.bonded_units:
        return (f"{usdc_text(bond_units - node.bonded_units)} more move from the wallet to the bond",)
    if 0 < bond_units < node.required_units:
        return (f"{usdc_text(node.bonded_units - bond_units)} of the bond begin to unbond",)
    return ("the bond stays as it is",)


def _registration(
    session: "Session", operator: bytes, mbps: int, region: str, price_units: int, urls: tuple[str, ...]
) -> tuple["Registration", "Signer", "Identity"]:
    from nearcast.chain.registration import Registration
    from nearcast.keys import load_or_create_identity

    identity = load_or_create_identity(session.call.config.data_dir / IDENTITY_FILE)
    hot_key = _hot_key(session)
    registration = Registration(operator, hot_key.address, identity.endpoint_id, mbps, region, price_units, urls)
    return registration, hot_key, identity


def _hot_key(session: "Session") -> "Signer":
    """The node's hot key; a dry run of the first registration shows one that is thrown away again."""
    from nearcast.chain.signing import Signer

    path = hot_key_file(session.call)
    if session.call.dry_run and not path.exists():
        session.output.note("  this dry run makes up a hot key; the real one is made when it is needed")
        return Signer(os.urandom(32))
    from nearcast.chain.hot_key import load_or_create_hot_key

    return load_or_create_hot_key(path)


def _signed(
    session: "Session", registration: "Registration", nonce: int, hot_key: "Signer", identity: "Identity"
) -> "SignedRegistration":
    from nearcast.chain.registration import registry_domain, sign_registration

    domain = registry_domain(session.chain_id, session.address_of("Registry"))
    return sign_registration(domain, registration, nonce, hot_key=hot_key, endpoint=identity)


async def _plan(
    session: "Session", function: str, signed: "SignedRegistration", pull_units: int, effects: tuple[str, ...]
) -> Plan:
    from nearcast.chain.abi import contract

    arguments = signed.as_arguments()
    if not pull_units:
        return Plan("Registry", function, arguments, effects)
    calls = (await permit_call(session, pull_units), contract("Registry").encode_call(function, arguments))
    return Plan("Registry", "multicall", (calls,), effects)


async def _tell(session: "Session", sent: Sent, done: str) -> None:
    await session.refresh()
    node = await node_of(session, session.wallet_address)
    record = await last_record(session, session.wallet_address)
    if record is None:
        raise ChainError("the endpoint says that the registration is done and does not know its record")
    value: dict[str, Any] = {
        "operator": address_text(node.operator),
        "hot_key": address_text(node.hot_key),
        "endpoint_id": record.endpoint_id.hex(),
        "mbps": node.mbps,
        "region": node.region,
        "price_units_per_gib": record.price_units_per_gib,
        "urls": list(record.urls),
        "bonded_units": node.bonded_units,
        "active": node.active,
    }
    lines = [
        f"{done} node {record.endpoint_id.hex()}",
        f"  {_words(node.mbps, node.region, record.price_units_per_gib, record.urls)}",
        f"  bond {usdc_text(node.bonded_units)}, {'active' if node.active else 'not active'}",
        *sent.lines(),
    ]
    session.output.result(value | sent.value(), lines=lines, essential=[address_text(node.operator)])


def _words(mbps: int, region: str, price_units: int, urls: tuple[str, ...]) -> str:
    return (
        f"{mbps:,} Mbit/s in {region}, {usdc_text(price_units)} per GiB, {', '.join(map(printable, urls)) or 'no URLs'}"
    )
