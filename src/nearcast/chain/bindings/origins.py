"""Origins: which nodes speak for a publisher's namespace, as the publisher proposes and governance recognises."""

from dataclasses import dataclass
from enum import IntEnum

from nearcast.chain.bindings.bound import Bound
from nearcast.chain.eip712 import address_word, keccak
from nearcast.chain.transaction_signing import Call


class OriginStatus(IntEnum):
    """IOrigins.Status."""

    NONE = 0
    PROPOSED = 1
    RECOGNISED = 2
    REVOKED = 3


@dataclass(frozen=True, slots=True)
class Namespace:
    """A publisher's label; `namespace_id` is the hash of both, so nobody can take another's."""

    namespace_id: bytes
    publisher: bytes
    label: str


@dataclass(frozen=True, slots=True)
class Origin:
    """A node in a namespace; `is_active`: what its bond says now."""

    operator: bytes
    status: OriginStatus
    is_active: bool


def namespace_id(publisher: bytes, label: str) -> bytes:
    """keccak256(abi.encode(publisher, label))."""
    text = label.encode()
    words = address_word(publisher) + (64).to_bytes(32) + len(text).to_bytes(32)
    return keccak(words + text + bytes(-len(text) % 32))


class Origins(Bound):
    """Origins."""

    artifact_name = "Origins"

    async def status(self, namespace: bytes, operator: bytes) -> OriginStatus:
        """What an operator is in a namespace."""
        return OriginStatus(await self.read("statusOf", namespace, operator))

    async def is_recognised(self, namespace: bytes, operator: bytes) -> bool:
        """Recognised by governance, and its node active now."""
        return bool(await self.read("isRecognised", namespace, operator))

    async def namespaces(self) -> list[Namespace]:
        """Every namespace, the oldest first."""
        count = int(await self.read("namespaceCount"))
        return [Namespace(*row) for row in await self.pages(count, "namespaces")]

    async def origins(self, namespace: bytes) -> list[Origin]:
        """Every operator that was ever proposed in a namespace."""
        rows = await self.pages(int(await self.read("originCount", namespace)), "origins", namespace)
        return [Origin(operator, OriginStatus(status), active) for operator, status, active in rows]

    def propose(self, label: str, operator: bytes, *, intent: str = "") -> Call:
        """The publisher (who sends it) proposes a node for its label."""
        return self.write("propose", label, operator, intent=intent)

    def withdraw_proposal(self, label: str, operator: bytes, *, intent: str = "") -> Call:
        """The publisher takes a proposal back."""
        return self.write("withdrawProposal", label, operator, intent=intent)

    def renounce(self, label: str, operator: bytes, *, intent: str = "") -> Call:
        """The publisher ends a recognition."""
        return self.write("renounce", label, operator, intent=intent)

    def recognise(self, namespace: bytes, operator: bytes) -> Call:
        """For a proposal of governance: recognise an active node."""
        return self.write("recognise", namespace, operator)

    def revoke(self, namespace: bytes, operator: bytes) -> Call:
        """For a proposal of governance: revoke a recognition."""
        return self.write("revoke", namespace, operator)
