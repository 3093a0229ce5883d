"""Nodes that register on a running development chain, over RPC, signed with our own code."""

from dataclasses import dataclass, replace
from typing import Any

from tests.chain.devchains import Rpc

from nearcast.chain.abi import contract
from nearcast.chain.devchain.addresses import ACCOUNTS, REGISTRY, TOKEN
from nearcast.chain.eip712 import keccak
from nearcast.chain.registration import Registration, registry_domain, sign_registration
from nearcast.chain.signing import Signer
from nearcast.keys import identity_from_secret

DOMAIN = registry_domain(31337, REGISTRY)
UNLIMITED = 2**256 - 1


def hot_key(index: int) -> Signer:
    return Signer(keccak(f"hot {index}".encode()))


@dataclass
class Fleet:
    """The test accounts as operators; account 9 is nobody's."""

    rpc: Rpc

    def allow(self, *indexes: int) -> None:
        """The registry may pull from these accounts."""
        for index in indexes:
            self.rpc.do(index, TOKEN, contract("TestUSDC").encode_call("approve", [REGISTRY, UNLIMITED]))

    def declare(self, index: int, function: str = "register", *, endpoint: int | None = None, **declared: Any) -> None:
        """Register or update the node of an account; `endpoint`: with the ed25519 key of another number."""
        identity = identity_from_secret(keccak(f"endpoint {index if endpoint is None else endpoint}".encode()))
        operator = ACCOUNTS[index].address
        nonce = int.from_bytes(self.rpc.call(REGISTRY, contract("Registry").encode_call("nonces", [operator])))
        plain = Registration(operator, hot_key(index).address, identity.endpoint_id, 10, "DE", 1_000, ("http://a/",))
        registration = replace(plain, **declared)
        signed = sign_registration(DOMAIN, registration, nonce, hot_key=hot_key(index), endpoint=identity)
        self.rpc.do(index, REGISTRY, contract("Registry").encode_call(function, list(signed.as_arguments())))

    def leave(self, index: int) -> None:
        self.rpc.do(index, REGISTRY, contract("Registry").encode_call("deregister"))
