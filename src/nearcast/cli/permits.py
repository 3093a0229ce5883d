"""A permit for the bond, signed by the wallet and carried by the transaction that uses it: no approval of its own.

EIP-2612. It allows exactly what is pulled, and it is over within the hour.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session

PERMIT_VALID_S = 3600  # as deposits: long past any wait for a block
_TYPE = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"


async def permit_call(session: "Session", amount_units: int) -> bytes:
    """Calldata of Registry.permit for `amount_units` of the wallet's token."""
    from nearcast.chain.abi import contract
    from nearcast.chain.deposits import usdc_domain
    from nearcast.chain.eip712 import address_word, keccak, type_hash, uint_word

    signer = session.signer()
    token, registry = session.address_of("TestUSDC"), session.address_of("Registry")
    nonce = await session.read("TestUSDC", "nonces", signer.address)
    deadline_s = session.now_s + PERMIT_VALID_S
    fields = address_word(signer.address) + address_word(registry)
    fields += uint_word(amount_units, 256) + uint_word(nonce, 256) + uint_word(deadline_s, 256)
    domain = usdc_domain(session.chain_id, token, await session.read("TestUSDC", "name"))
    signature = signer.sign(domain.digest(keccak(type_hash(_TYPE) + fields)))
    arguments = (signer.address, amount_units, deadline_s, signature[64], signature[:32], signature[32:64])
    return contract("Registry").encode_call("permit", arguments)
