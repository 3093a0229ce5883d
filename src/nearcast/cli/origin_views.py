"""What `nearcast origin list` and `status` show."""

from typing import TYPE_CHECKING, Any

from nearcast.cli.hexwords import address_text, hash_text
from nearcast.cli.output import printable
from nearcast.errors import ChainError

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session

STATUSES = ("unknown", "proposed", "recognised", "revoked")  # IOrigins.Status, in its order
PAGE = 200  # entries of a call; guess: an answer of a few tens of kB


async def namespace_of(session: "Session", publisher: bytes, label: str) -> bytes:
    """The 32 bytes that a publisher's label names."""
    namespace: bytes = await session.read("Origins", "namespaceOf", publisher, label)
    return namespace


async def status_of(session: "Session", namespace: bytes, operator: bytes) -> str:
    """One of STATUSES."""
    return _status(await session.read("Origins", "statusOf", namespace, operator))


async def show_list(session: "Session", label: str | None, publisher: bytes | None, *, everyone: bool) -> None:
    """The origins of one publisher's namespaces, or of everyone's."""
    wanted = None if everyone else publisher or session.wallet_address
    rows: list[dict[str, Any]] = []
    for namespace, owner, name in await session.pages("Origins", "namespaceCount", "namespaces", size=PAGE):
        if (wanted is not None and owner != wanted) or (label is not None and name != label):
            continue
        for operator, status, active in await session.pages("Origins", "originCount", "origins", namespace, size=PAGE):
            rows.append(
                {
                    "namespace": hash_text(namespace),
                    "publisher": address_text(owner),
                    "label": name,
                    "operator": address_text(operator),
                    "status": _status(status),
                    "active": active,
                }
            )
    lines = [f"{printable(row['label'])}  {row['operator']}  {_standing(row)}" for row in rows]
    essential = [row["operator"] for row in rows]
    session.output.result({"origins": rows}, lines=lines or ["no origins"], essential=essential)


async def show_status(session: "Session", label: str, operator: bytes, publisher: bytes | None) -> None:
    """One node in one namespace."""
    namespace = await namespace_of(session, publisher or session.wallet_address, label)
    status = await status_of(session, namespace, operator)
    recognised = await session.read("Origins", "isRecognised", namespace, operator)
    value = {
        "namespace": hash_text(namespace),
        "label": label,
        "operator": address_text(operator),
        "status": status,
        "active": recognised if status == "recognised" else None,
    }
    session.output.result(value, lines=[_standing(value)], essential=[status])


def _standing(row: dict[str, Any]) -> str:
    silent = row["status"] != "recognised" or row["active"]
    return row["status"] if silent else "recognised, but its node is not active"


def _status(number: int) -> str:
    if number >= len(STATUSES):
        raise ChainError(f"the endpoint says {number} for the status of an origin")
    return STATUSES[number]
