"""What `nearcast node status` and `node list` show."""

from typing import TYPE_CHECKING, Any

from nearcast.cli.hexwords import address_text
from nearcast.cli.moments import due_text, moment_text
from nearcast.cli.money import usdc_text
from nearcast.cli.output import printable
from nearcast.cli.registry_reads import DeclaredRecord, NodeState, last_record, node_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearcast.chain.node_records import NodeRecord
    from nearcast.cli.chain_session import Session


async def show_status(session: "Session", operator: bytes | None) -> None:
    """One operator's node."""
    operator = operator or session.wallet_address
    node = await node_of(session, operator)
    record = await last_record(session, operator)
    amounts, available_at = await session.read("Registry", "unbondings", operator)
    votes = await session.read("Registry", "getVotes", operator)
    tranches = list(zip(amounts, available_at, strict=True))
    value = _value(node, record, tranches) | {"votes_units": votes}
    lines = _lines(session, node, record, tranches)
    session.output.result(value, lines=lines, essential=[standing(node)])


def standing(node: NodeState) -> str:
    """One word, or two, for how a node stands."""
    if node.ejected:
        return "ejected"
    if not node.registered:
        return "not registered"
    return "active" if node.active else "bond too low"


def _value(node: NodeState, record: DeclaredRecord | None, tranches: list[tuple[int, int]]) -> dict[str, Any]:
    return {
        "operator": address_text(node.operator),
        "standing": standing(node),
        "registered": node.registered,
        "active": node.active,
        "ejected": node.ejected,
        "hot_key": address_text(node.hot_key),
        "endpoint_id": record.endpoint_id.hex() if record else None,
        "mbps": node.mbps,
        "region": node.region,
        "price_units_per_gib": record.price_units_per_gib if record else None,
        "urls": list(record.urls) if record else [],
        "bonded_units": node.bonded_units,
        "required_units": node.required_units,
        "unbonding": [{"units": units, "available_at": at} for units, at in tranches],
    }


def _lines(
    session: "Session", node: NodeState, record: DeclaredRecord | None, tranches: list[tuple[int, int]]
) -> list[str]:
    rows = [("Operator", address_text(node.operator)), ("Standing", standing(node))]
    if node.registered and record is not None:
        rows += [
            ("Node", record.endpoint_id.hex()),
            ("Hot key", address_text(node.hot_key)),
            ("Declares", f"{node.mbps:,} Mbit/s in {node.region}, {usdc_text(record.price_units_per_gib)} per GiB"),
            *(("URL", printable(url)) for url in record.urls),
            ("Bond", f"{usdc_text(node.bonded_units)} of {usdc_text(node.required_units)} needed"),
            ("Votes", f"age since {moment_text(node.vote_since_s)}"),
        ]
    rows += [("Unbonding", f"{usdc_text(units)}, due {due_text(at, session.now_s)}") for units, at in tranches]
    return [f"  {name:<9}  {value}" for name, value in rows]


async def show_list(session: "Session", *, only_active: bool) -> None:
    """The nodes in force. A record that its endpoint did not sign is as good as none."""
    from nearcast.chain.node_directory import NODES_FILE, NodeDirectory
    from nearcast.chain.registration import registry_domain

    domain = registry_domain(session.chain_id, session.address_of("Registry"))
    first_block, confirmations = session.deployment.first_block, session.confirmations
    path = session.folder / NODES_FILE
    with NodeDirectory.open(
        path, session.rpc, domain, from_block=first_block, confirmations=confirmations
    ) as directory:
        records = [record for record in await directory.load() if record.active or not only_active]
    rows = [_record(record) for record in records]
    essential = [row["operator"] for row in rows]
    session.output.result({"nodes": rows}, lines=_table(records) or ["no nodes"], essential=essential)


def _record(record: "NodeRecord") -> dict[str, Any]:
    return {
        "operator": address_text(record.operator),
        "endpoint_id": record.endpoint_id.hex(),
        "hot_key": address_text(record.hot_key),
        "mbps": record.mbps,
        "region": record.region,
        "price_units_per_gib": record.price_units_per_gib,
        "urls": list(record.urls),
        "active": record.active,
    }


def _table(records: "Sequence[NodeRecord]") -> list[str]:
    return [
        f"{address_text(record.operator)}  {record.region}  {record.mbps:>7,} Mbit/s"
        f"  {usdc_text(record.price_units_per_gib):>14} per GiB{'' if record.active else '  bond too low'}"
        for record in records
    ]
