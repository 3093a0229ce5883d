"""The token: TestUSDC on a development chain, Circle's USDC elsewhere (which has everything here but the faucet)."""

from nearcast.chain.bindings.bound import Bound
from nearcast.chain.eip712 import Domain, address_word, keccak, type_hash, uint_word
from nearcast.chain.rpc import BlockTag
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_signing import Call, Spend

_PERMIT_TYPE = type_hash("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
DOMAIN_VERSION = "2"  # FiatToken 2.2's


class Token(Bound):
    """An ERC-20 with EIP-2612, EIP-3009 and an issuer who can freeze addresses."""

    artifact_name = "TestUSDC"

    async def balance(self, account: bytes, *, block: BlockTag = "latest") -> int:
        """Units that an account holds."""
        return int(await self.read("balanceOf", account, block=block))

    async def allowance(self, owner: bytes, spender: bytes) -> int:
        """Units that `spender` may still take from `owner`."""
        return int(await self.read("allowance", owner, spender))

    async def nonce(self, owner: bytes) -> int:
        """The number that the owner's next permit is signed for."""
        return int(await self.read("nonces", owner))

    async def is_blacklisted(self, account: bytes) -> bool:
        """Whether the issuer has frozen the address."""
        return bool(await self.read("isBlacklisted", account))

    async def is_used(self, authorizer: bytes, nonce: bytes) -> bool:
        """Whether an EIP-3009 authorization was used or cancelled."""
        return bool(await self.read("authorizationState", authorizer, nonce))

    async def domain(self) -> Domain:
        """The EIP-712 domain that permits and authorizations are signed for; USDC has two names."""
        return Domain(await self.read("name"), DOMAIN_VERSION, self._rpc.expected_chain_id, self.address)

    async def sign_permit(self, signer: Signer, spender: bytes, amount_units: int, deadline_s: int) -> bytes:
        """The owner's 65-byte signature that lets `spender` take `amount_units`; good once, until the deadline."""
        fields = address_word(signer.address) + address_word(spender) + uint_word(amount_units, 256)
        fields += uint_word(await self.nonce(signer.address), 256) + uint_word(deadline_s, 256)
        return signer.sign((await self.domain()).digest(keccak(_PERMIT_TYPE + fields)))

    def permit(self, owner: bytes, spender: bytes, amount_units: int, deadline_s: int, signature: bytes) -> Call:
        """Submit a signed permit; anybody may."""
        split = (signature[64], signature[:32], signature[32:64])
        return self.write("permit", owner, spender, amount_units, deadline_s, *split)

    def approve(self, spender: bytes, amount_units: int, *, intent: str = "") -> Call:
        """Allow `spender` to take `amount_units` in all."""
        return self.write("approve", spender, amount_units, intent=intent)

    def transfer(self, to: bytes, amount_units: int, *, intent: str = "") -> Call:
        """Send units to an address."""
        return self.write("transfer", to, amount_units, intent=intent, spends=(Spend(self.address, amount_units),))

    async def faucet_available_at(self, account: bytes) -> int:
        """When the faucet gives to an account again; unix time, in the past when it does now."""
        return int(await self.read("faucetAvailableAt", account))

    def faucet(self, *, intent: str = "") -> Call:
        """1,000 USDC, once a day; on a development chain only."""
        return self.write("faucet", intent=intent)
