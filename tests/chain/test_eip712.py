"""EIP-712 digests against the EIP's own example, eth-account and the limits of words."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.parties import typed_digest

from nearcast.chain.eip712 import Domain, address_word, bytes32_word, keccak, strings_hash, type_hash, uint_word
from nearcast.chain.signing import Signer
from nearcast.errors import UsageError

# The example of the EIP: a mail from Cow to Bob, and Cow's signature of it.
MAIL_DOMAIN = Domain("Ether Mail", "1", 1, bytes.fromhex("CcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"))
MAIL_DIGEST = "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"


def test_the_eip_s_own_example() -> None:
    person = "Person(string name,address wallet)"

    def person_hash(name: str, wallet: str) -> bytes:
        return keccak(type_hash(person) + keccak(name.encode()) + address_word(bytes.fromhex(wallet)))

    mail = keccak(
        type_hash("Mail(Person from,Person to,string contents)" + person)
        + person_hash("Cow", "CD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826")
        + person_hash("Bob", "bBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB")
        + keccak(b"Hello, Bob!")
    )
    assert MAIL_DOMAIN.separator.hex() == "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"
    assert MAIL_DOMAIN.digest(mail).hex() == MAIL_DIGEST
    signature = Signer(keccak(b"cow")).sign(MAIL_DOMAIN.digest(mail))
    assert signature.hex() == (
        "4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"
        "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b915621c"
    )


@given(st.lists(st.text(max_size=20), max_size=5), st.integers(0, 2**256 - 1), st.text(max_size=10))
def test_any_domain_and_strings_are_hashed_as_by_eth_account(urls: list[str], chain_id: int, name: str) -> None:
    contract = keccak(name.encode())[:20]
    ours = Domain(name, "1", chain_id, contract).digest(keccak(type_hash("Place(string[] urls)") + strings_hash(urls)))
    domain = {"name": name, "version": "1", "chainId": chain_id, "verifyingContract": f"0x{contract.hex()}"}
    assert ours == typed_digest(domain, {"Place": [{"name": "urls", "type": "string[]"}]}, {"urls": urls})


def test_what_does_not_fit_a_word() -> None:
    assert uint_word(255, 8) == bytes(31) + b"\xff"
    for value, bits in ((256, 8), (-1, 8), (2**256, 256)):
        with pytest.raises(UsageError, match=f"{bits} bits"):
            uint_word(value, bits)
    for size in (0, 19, 21, 32):
        with pytest.raises(UsageError, match="20 bytes"):
            address_word(bytes(size))
    with pytest.raises(UsageError, match="32 bytes"):
        bytes32_word(bytes(31))


def test_one_chain_or_contract_s_digest_is_no_other_s() -> None:
    domains = [Domain("a", "1", chain, bytes([byte]) * 20) for chain in (1, 2) for byte in (1, 2)]
    assert len({domain.digest(bytes(32)) for domain in domains}) == 4


def test_the_hot_path_imports_nothing_heavy() -> None:
    """The rooms that sign while bytes flow are loaded by every node at start."""
    rooms = "vouchers, deposits, offers, registration, bond, keystore"
    program = (
        f"import sys; from nearcast.chain import {rooms}; "
        "print(*sorted({'eth_account', 'eth_abi', 'web3', 'eth', 'eth_utils'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
