"""Which chains there are for us, and where the contracts stand on each.

Contracts are named like their artifacts; the token is `TestUSDC` everywhere, on public chains it is Circle's USDC,
which answers the same calls except `faucet`. What a chain does not have yet is not in its `contracts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nearcast.chain.devchain.addresses import CONTRACTS, ERC3009_COLLECTOR, SETTLEMENT
from nearcast.errors import UsageError


@dataclass(frozen=True, slots=True)
class Deployment:
    """One chain. `confirmations`: how many blocks must hold a transaction, its own counted, before it is relied upon.

    `first_block`: no contract of ours wrote an event before it.
    """

    name: str
    chain_id: int
    contracts: Mapping[str, bytes]
    confirmations: int
    first_block: int = 0


def _public(usdc: str) -> Mapping[str, bytes]:
    """x402 deploys the settlement and its collector at the same addresses on every chain."""
    return {
        "BatchSettlement": SETTLEMENT,
        "ERC3009DepositCollector": ERC3009_COLLECTOR,
        "TestUSDC": bytes.fromhex(usdc),
    }


DEV: Final = Deployment("dev", 31337, dict(CONTRACTS), confirmations=1)
# USDC's addresses are Circle's (developers.circle.com, "USDC contract addresses"). Rollups' blocks come from one
# sequencer; 5 of them (10 s on Base, 1 s on Arbitrum) outlast every reorganisation seen there, guess. Base makes a
# block each 2 s from its first on, so the one of 1 January 2026, before the settlement was audited, can be computed.
DEPLOYMENTS: Final[Mapping[str, Deployment]] = {
    each.name: each
    for each in (
        DEV,
        Deployment("base", 8453, _public("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"), 5, 40_218_126),
        Deployment("base-sepolia", 84532, _public("036CbD53842c5426634e7929541eC2318f3dCF7e"), 5, 35_728_656),
        Deployment("arbitrum", 42161, _public("af88d065e77c8cC2239327C5EDb3A432268e5831"), 5),
        Deployment("arbitrum-sepolia", 421614, _public("75faf114eafb1BDbe2F0316DF893fd58CE46AA4d"), 5),
    )
}


def deployment(name: str) -> Deployment:
    """A chain by name. Raises UsageError when there is none of that name."""
    if name not in DEPLOYMENTS:
        raise UsageError(f"no chain is called {name!r}", fix=f"--chain is one of {', '.join(DEPLOYMENTS)}")
    return DEPLOYMENTS[name]
