"""Paying into a channel by signature: EIP-3009 `ReceiveWithAuthorization`, bound to one channel by its nonce.

The token moves only when the collector asks for it, and the collector recomputes the nonce from the channel, so the
signature opens that channel and nothing else. Whoever holds it may submit it. Source: EIP-3009; the nonce is x402's.
"""

from dataclasses import dataclass

from nearcast.chain.eip712 import Domain, address_word, bytes32_word, keccak, type_hash, uint_word
from nearcast.chain.signing import Signer
from nearcast.chain.vouchers import ERC3009_DEPOSIT_COLLECTOR

_RECEIVE_TYPE = type_hash(
    "ReceiveWithAuthorization(address from,address to,uint256 value,"
    "uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)


def usdc_domain(chain_id: int, token: bytes, name: str = "USD Coin") -> Domain:
    """The domain of a USDC token; `name` is what the token says of itself ("USDC" on test chains and on ours)."""
    return Domain(name, "2", chain_id, token)


@dataclass(frozen=True, slots=True)
class DepositAuthorization:
    """`payer` lets the collector take `amount_units` for `channel_id`, after and before two unix times in seconds.

    `salt` (256 bits) tells two deposits into one channel apart: a used one can never be submitted again.
    """

    payer: bytes
    channel_id: bytes
    amount_units: int
    valid_after_s: int
    valid_before_s: int
    salt: int
    collector: bytes = ERC3009_DEPOSIT_COLLECTOR

    @property
    def nonce(self) -> bytes:
        """32 bytes: what the token remembers as used."""
        return keccak(bytes32_word(self.channel_id) + uint_word(self.salt, 256))

    def digest(self, token: Domain) -> bytes:
        """The 32 bytes that the payer signs, for the token's domain."""
        return token.digest(
            keccak(
                _RECEIVE_TYPE
                + address_word(self.payer)
                + address_word(self.collector)
                + uint_word(self.amount_units, 256)
                + uint_word(self.valid_after_s, 256)
                + uint_word(self.valid_before_s, 256)
                + self.nonce
            )
        )

    def sign(self, token: Domain, signer: Signer) -> bytes:
        """The payer's 65-byte signature."""
        return signer.sign(self.digest(token))

    def collector_data(self, signature: bytes) -> bytes:
        """What BatchSettlement.deposit hands to the collector: abi.encode(validAfter, validBefore, salt, signature)."""
        padding = bytes(-len(signature) % 32)
        return (
            uint_word(self.valid_after_s, 256)
            + uint_word(self.valid_before_s, 256)
            + uint_word(self.salt, 256)
            + uint_word(4 * 32, 256)  # where the signature starts
            + uint_word(len(signature), 256)
            + signature
            + padding
        )
