"""A permit for the bond, signed by the wallet and carried by the transaction that uses it: no approval of its own.

EIP-2612. It allows exactly what is pulled, and it is over within the hour.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session

PERMIT_VALID_S = 3600  # as deposits: long past any wait for a block


async def permit_call(session: "Session", amount_units: int) -> bytes:
    """Calldata of Registry.permit for `amount_units` of the wallet's token."""
    from nearcast.chain.abi import contract
    from nearcast.chain.bindings.token import Token

    signer, registry = session.signer(), session.address_of("Registry")
    deadline_s = session.now_s + PERMIT_VALID_S
    token = Token(session.rpc, session.address_of("TestUSDC"))
    signature = await token.sign_permit(signer, registry, amount_units, deadline_s)
    arguments = (signer.address, amount_units, deadline_s, signature[64], signature[:32], signature[32:64])
    return contract("Registry").encode_call("permit", arguments)
