"""The court: evidence is committed to, then revealed, and what the operator loses is shared with the challenger."""

from collections.abc import Sequence
from dataclasses import dataclass

from nearcast.chain.bindings.bound import Bound
from nearcast.chain.evidence import BlacklistedOffer, Evidence
from nearcast.chain.transaction_signing import Call


@dataclass(frozen=True, slots=True)
class Docket:
    """A challenger's account: what is free in it, and the open commitment (`bond_units` 0: none). Unix times."""

    free_units: int
    bond_units: int
    reveal_from: int
    reveal_until: int
    commitment_prefix: bytes  # the commitment's first 13 bytes


class Court(Bound):
    """Court."""

    artifact_name = "Court"

    async def docket(self, challenger: bytes) -> Docket:
        """A challenger's account and open commitment."""
        return Docket(*await self.read("docketOf", challenger))

    async def challenge_bond(self) -> int:
        """Units that a commitment takes, and a valid reveal gives back."""
        return int(await self.read("challengeBond"))

    async def convictions(self, operator: bytes) -> int:
        """How often an operator was slashed."""
        return int(await self.read("convictions", operator))

    async def anchor_of(self, block_number: int) -> bytes:
        """The hash that the court keeps of a block; 32 zero bytes when it keeps none."""
        return bytes(await self.read("anchorOf", block_number))

    def deposit(self, amount_units: int, *, intent: str = "") -> Call:
        """Pay into one's account there, from the allowance."""
        return self.write("deposit", amount_units, intent=intent)

    def commit(self, commitment: bytes, block_numbers: Sequence[int] = (), *, intent: str = "") -> Call:
        """Announce evidence (`evidence.commitment`) and keep the hashes of the blocks that it rests on."""
        return self.write("commit", commitment, list(block_numbers), intent=intent)

    def anchor(self, block_numbers: Sequence[int], *, intent: str = "") -> Call:
        """Keep hashes of blocks that the chain still knows; anybody may."""
        return self.write("anchor", list(block_numbers), intent=intent)

    def reveal(self, evidence: Evidence, salt: bytes, *, intent: str = "") -> Call:
        """Show the evidence that was committed to."""
        function = "revealBlacklisted" if isinstance(evidence, BlacklistedOffer) else "revealEquivocation"
        return self.write(function, *evidence.reveal_args(salt), intent=intent)

    def forfeit(self, challenger: bytes, *, intent: str = "") -> Call:
        """Give up one's commitment, or anybody's whose time is over; its bond goes to the treasury."""
        return self.write("forfeit", challenger, intent=intent)

    def withdraw(self, to: bytes, *, intent: str = "") -> Call:
        """Take out all that is free in one's account."""
        return self.write("withdraw", to, intent=intent)
