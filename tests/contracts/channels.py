"""One payment channel as its two sides see it, for tests: what they hash, sign and send.

The digests are computed here from the type strings of x402, by eth_abi alone: neither the contract nor
`nearcast.chain` is asked, so that the three can be held against each other.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from eth_abi.abi import encode
from eth_hash.auto import keccak
from tests.contracts.accounts import TestAccount
from tests.contracts.world import DOLLAR, ZERO, Done, World, address_of

CONFIG_TYPE: Final = (
    "ChannelConfig(address payer,address payerAuthorizer,address receiver,"
    "address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
)
VOUCHER_TYPE: Final = "Voucher(bytes32 channelId,uint128 maxClaimableAmount)"
REFUND_TYPE: Final = "Refund(bytes32 channelId,uint256 nonce,uint128 amount)"
ENTRY_TYPE: Final = "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
BATCH_TYPE: Final = "ClaimBatch(ClaimEntry[] claims)" + ENTRY_TYPE
DOMAIN_TYPE: Final = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
RECEIVE_TYPE: Final = (
    "ReceiveWithAuthorization(address from,address to,uint256 value,"
    "uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
FIFTEEN_MINUTES_S: Final = 900  # the shortest delay there is
FOREVER: Final = 2**256 - 1

Row = tuple[Any, bytes, int]


def keccak_text(text: str) -> bytes:
    return bytes(keccak(text.encode()))


def struct_hash(type_text: str, types: list[str], values: list[Any]) -> bytes:
    """EIP-712's hash of a struct whose members are all one word."""
    return bytes(keccak(encode(["bytes32", *types], [keccak_text(type_text), *values])))


@dataclass(frozen=True)
class Domain:
    """An EIP-712 domain."""

    name: str
    version: str
    chain_id: int
    contract: bytes

    @property
    def separator(self) -> bytes:
        types = ["bytes32", "bytes32", "uint256", "address"]
        values = [keccak_text(self.name), keccak_text(self.version), self.chain_id, self.contract]
        return struct_hash(DOMAIN_TYPE, types, values)

    def digest(self, content: bytes) -> bytes:
        return bytes(keccak(b"\x19\x01" + self.separator + content))


def settlement_domain(world: World) -> Domain:
    return Domain("x402 Batch Settlement", "1", world.engine.chain_id, world.settlement.address)


def token_domain(world: World) -> Domain:
    return Domain("USDC", "2", world.engine.chain_id, world.token.address)


@dataclass(frozen=True)
class Channel:
    """The parties and what the channel's id is made of. The payer's key signs vouchers unless there is another."""

    world: World
    payer: Any
    receiver: Any
    signer: TestAccount | None = None  # the payerAuthorizer; None: the payer itself, field zero
    authorizer: TestAccount | None = None  # the receiverAuthorizer; None: the receiver
    token: Any = None
    delay_s: int = FIFTEEN_MINUTES_S
    salt: bytes = bytes(32)
    domain: Domain = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "domain", settlement_domain(self.world))

    @property
    def config(self) -> tuple[bytes, bytes, bytes, bytes, bytes, int, bytes]:
        return (
            address_of(self.payer),
            self.signer.address if self.signer else ZERO,
            address_of(self.receiver),
            address_of(self.authorizer or self.receiver),
            address_of(self.token or self.world.token),
            self.delay_s,
            self.salt,
        )

    @property
    def id(self) -> bytes:
        types = ["address"] * 5 + ["uint40", "bytes32"]
        return self.domain.digest(struct_hash(CONFIG_TYPE, types, list(self.config)))

    def salted(self, number: int) -> "Channel":
        """Another channel of the same parties."""
        return replace(self, salt=number.to_bytes(32, "big"))

    # --- what is signed ------------------------------------------------------------------------------------------

    def voucher_digest(self, ceiling: int) -> bytes:
        return self.domain.digest(struct_hash(VOUCHER_TYPE, ["bytes32", "uint128"], [self.id, ceiling]))

    def refund_digest(self, nonce: int, amount: int) -> bytes:
        content = struct_hash(REFUND_TYPE, ["bytes32", "uint256", "uint128"], [self.id, nonce, amount])
        return self.domain.digest(content)

    def sign(self, ceiling: int) -> bytes:
        """The voucher's signature."""
        return (self.signer or self.payer).sign(self.voucher_digest(ceiling))

    def row(self, claimed: int, ceiling: int | None = None, signature: bytes | None = None) -> Row:
        """A row of a batch: a voucher up to `ceiling`, of which `claimed` in all is wanted."""
        ceiling = claimed if ceiling is None else ceiling
        return ((self.config, ceiling), self.sign(ceiling) if signature is None else signature, claimed)

    def sign_refund(self, nonce: int, amount: int) -> bytes:
        return (self.authorizer or self.receiver).sign(self.refund_digest(nonce, amount))

    # --- what is sent --------------------------------------------------------------------------------------------

    def deposit(self, amount: int = 10 * DOLLAR) -> Done:
        """By allowance, which is given here."""
        collector = self.world.allowance_collector
        token = self.token or self.world.token
        token.transact("approve", collector, amount, sender=self.payer)
        return collector.transact("deposit", self.config, amount, sender=self.payer)

    def deposit_by_signature(self, amount: int, sender: Any, salt: int = 7) -> Done:
        """By ERC-3009, sent by anyone."""
        collector = self.world.erc3009_collector
        data = self.authorization(amount, salt)
        return self.world.settlement.transact("deposit", self.config, amount, collector, data, sender=sender)

    def authorization(self, amount: int, salt: int = 7, valid_before: int = FOREVER) -> bytes:
        """The ERC-3009 collector's data: an authorization that is good for this channel only."""
        collector = self.world.erc3009_collector.address
        nonce = bytes(keccak(encode(["bytes32", "uint256"], [self.id, salt])))
        types = ["address", "address", "uint256", "uint256", "uint256", "bytes32"]
        values = [address_of(self.payer), collector, amount, 0, valid_before, nonce]
        signature = self.payer.sign(token_domain(self.world).digest(struct_hash(RECEIVE_TYPE, types, values)))
        return encode(["uint256", "uint256", "uint256", "bytes"], [0, valid_before, salt, signature])

    def claim(self, *rows: Row, sender: Any = None) -> Done:
        return self.world.settlement.transact("claim", list(rows), sender=sender or self.receiver)

    def settle(self) -> Done:
        return self.world.settlement.transact("settle", self.receiver, self.token or self.world.token, sender=ZERO)

    # --- how it stands -------------------------------------------------------------------------------------------

    @property
    def balance(self) -> int:
        return int(self.world.settlement.call("channels", self.id).balance)

    @property
    def claimed(self) -> int:
        return int(self.world.settlement.call("channels", self.id).totalClaimed)


def batch_digest(world: World, rows: list[tuple[Channel, Row]]) -> bytes:
    """What the receiverAuthorizer signs over a whole batch."""
    entries = b""
    for channel, ((_, ceiling), _, claimed) in rows:
        entries += struct_hash(ENTRY_TYPE, ["bytes32", "uint128", "uint128"], [channel.id, ceiling, claimed])
    content = struct_hash(BATCH_TYPE, ["bytes32"], [bytes(keccak(entries))])
    return settlement_domain(world).digest(content)
