"""What the registry says of one operator."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session


@dataclass(frozen=True)
class NodeState:
    """Registry.Node with our names. Amounts in units, moments in unix seconds, `region` two letters or empty."""

    operator: bytes
    hot_key: bytes
    mbps: int
    region: str
    region_since_s: int
    registered: bool
    ejected: bool
    active: bool
    bonded_units: int
    required_units: int
    unbonding_units: int
    vote_since_s: int
    nonce: int


async def node_of(session: "Session", operator: bytes) -> NodeState:
    """The state of an operator; of a stranger, all zeros."""
    hot_key, mbps, region, *rest = await session.read("Registry", "node", operator)
    return NodeState(operator, hot_key, mbps, region.rstrip(b"\0").decode("ascii", "replace"), *rest)


@dataclass(frozen=True)
class DeclaredRecord:
    """What only the event of the last registration says."""

    endpoint_id: bytes
    price_units_per_gib: int
    urls: tuple[str, ...]


async def last_record(session: "Session", operator: bytes) -> DeclaredRecord | None:
    """The newest NodeRecord of an operator, or None."""
    events = await session.events("Registry", "NodeRecord", operator)
    if not events:
        return None
    newest = max(events, key=lambda event: event.arguments["nonce"]).arguments
    return DeclaredRecord(newest["endpointId"], newest["pricePerGib"], newest["urls"])
