"""What a node stands on outside of its own process: a socket, and somebody who answers for the chain.

A simulation brings its own, so that whole nodes run without either.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.config import QuicConfig
from nearcast.keys import Identity
from nearcast.transport.base import Endpoint
from nearcast.transport.iroh import IrohEndpoint

if TYPE_CHECKING:
    from nearcast.chain.rpc import JsonRpc


async def _bind_iroh(identity: Identity, config: QuicConfig) -> Endpoint:
    """QUIC on this machine's UDP socket. Raises AddressInUseError, UsageError."""
    return await IrohEndpoint.bind(identity, listen=config.listen, relay=config.relay, advertise=config.advertise)


def _ask_over_http(url: str, chain_id: int) -> "JsonRpc":
    """The endpoint of a chain at `url`; nobody is asked yet."""
    from nearcast.chain.rpc import JsonRpc  # it brings all of the chain's room

    return JsonRpc(url, chain_id)


@dataclass(frozen=True, slots=True)
class Outside:
    """How to get both. `rpc(url, chain_id)`."""

    endpoint: Callable[[Identity, QuicConfig], Awaitable[Endpoint]] = _bind_iroh
    rpc: "Callable[[str, int], JsonRpc]" = _ask_over_http


REAL = Outside()
