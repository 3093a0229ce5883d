"""The registry of nodes: who serves, with which keys, what stake stands behind it."""

from dataclasses import dataclass

from nearcast.chain.bindings.bound import Bound
from nearcast.chain.registration import SignedRegistration
from nearcast.chain.rpc import BlockTag
from nearcast.chain.transaction_signing import Call, Spend


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node as the contract keeps it; its endpoint, price and URLs are in its last NodeRecord event."""

    hot_key: bytes
    mbps: int
    region: bytes
    region_since: int
    is_registered: bool
    is_ejected: bool
    is_active: bool
    bonded_units: int
    required_units: int
    unbonding_units: int
    votes_since: int
    nonce: int


@dataclass(frozen=True, slots=True)
class Unbonding:
    """Stake on its way out, which can still be slashed; `available_at` is unix time."""

    amount_units: int
    available_at: int


class Registry(Bound):
    """Registry."""

    artifact_name = "Registry"

    async def node(self, operator: bytes, *, block: BlockTag = "latest") -> NodeState:
        """The node of an operator; `is_registered` False when there is none."""
        return NodeState(*await self.read("node", operator, block=block))

    async def is_active(self, operator: bytes) -> bool:
        """Registered, not ejected, bonded as its capacity asks."""
        return bool(await self.read("isActive", operator))

    async def nonce(self, operator: bytes) -> int:
        """The number that the operator's next registration or update is signed for."""
        return int(await self.read("nonces", operator))

    async def bond_for(self, mbps: int) -> int:
        """Units that a node of this capacity must bond now."""
        return int(await self.read("bondFor", mbps))

    async def hot_key_owner(self, hot_key: bytes) -> bytes:
        """The operator that a hot key belongs to for ever; 20 zero bytes when nobody has it."""
        return bytes(await self.read("hotKeyOwner", hot_key))

    async def unbondings(self, operator: bytes) -> list[Unbonding]:
        """Stake on its way out, the first available first."""
        amounts, times = await self.read("unbondings", operator)
        return [Unbonding(amount, at) for amount, at in zip(amounts, times, strict=True)]

    async def withdrawable(self, operator: bytes) -> int:
        """Units that `withdraw` pays out now."""
        return int(await self.read("withdrawable", operator))

    async def votes(self, operator: bytes, *, at: int | None = None) -> int:
        """Votes now, or at a past unix time."""
        if at is None:
            return int(await self.read("getVotes", operator))
        return int(await self.read("getPastVotes", operator, at))

    def register(self, signed: SignedRegistration, *, spends: tuple[Spend, ...] = (), intent: str = "") -> Call:
        """Enter a node and pull its bond, which the operator must have approved to this contract."""
        return self.write("register", *signed.as_arguments(), intent=intent, spends=spends)

    def update(self, signed: SignedRegistration, *, spends: tuple[Spend, ...] = (), intent: str = "") -> Call:
        """Change a node; more capacity pulls what the bond lacks, less begins unbonding the surplus."""
        return self.write("update", *signed.as_arguments(), intent=intent, spends=spends)

    def top_up(self, operator: bytes, token: bytes, amount_units: int, *, intent: str = "") -> Call:
        """Add to an operator's bond from one's own allowance."""
        spends = (Spend(token, amount_units, self.address),)
        return self.write("topUp", operator, amount_units, intent=intent, spends=spends)

    def unbond(self, amount_units: int, *, intent: str = "") -> Call:
        """Begin taking stake out; what remains must cover the node's capacity."""
        return self.write("unbond", amount_units, intent=intent)

    def deregister(self, *, intent: str = "") -> Call:
        """Leave: all stake begins unbonding."""
        return self.write("deregister", intent=intent)

    def withdraw(self, to: bytes, *, intent: str = "") -> Call:
        """Take out the stake whose unbonding period has passed."""
        return self.write("withdraw", to, intent=intent)
