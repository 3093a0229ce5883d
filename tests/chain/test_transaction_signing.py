"""A transaction as it is signed is what a chain reads."""

from hypothesis import given
from hypothesis import strategies as st
from tests.chain.senders import PAYER

from nearcast.chain.devchain.addresses import TOKEN
from nearcast.chain.devchain.transactions import decode
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_signing import Call, Fees, sign_transaction


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40), st.integers(0, 2**100), st.binary(max_size=300), st.booleans())
def test_what_is_signed_is_what_a_chain_reads(nonce: int, fee: int, value: int, data: bytes, tips: bool) -> None:
    fees = Fees(fee, fee if tips else 0)
    made = sign_transaction(Signer(PAYER.secret), 31337, nonce, Call(TOKEN, data, value), gas=21_000, fees=fees)
    read = decode(made.raw, 31337)
    assert (read.hash, read.sender, read.nonce, read.to) == (made.hash, PAYER.address, nonce, TOKEN)
    assert (read.value, read.data, read.gas, read.fee_max_wei) == (value, data, 21_000, fee)
    assert read.priority_fee_max_wei == fees.tip_max_wei
