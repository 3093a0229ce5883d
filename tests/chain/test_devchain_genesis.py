"""The first block: every contract where it should be, with what its constructor wrote there."""

import pytest
from eth_abi.abi import decode
from eth_account import Account as Wallet
from eth_hash.auto import keccak

from nearcast.chain.artifacts import artifact
from nearcast.chain.devchain import addresses, genesis
from nearcast.chain.devchain.engine import Engine
from nearcast.errors import ChainError


@pytest.fixture(scope="module")
def chain() -> Engine:
    return Engine(genesis.make_alloc())


def test_every_contract_is_there(chain: Engine) -> None:
    for name in addresses.CONTRACTS:
        address = addresses.CONTRACTS[name]
        code = chain.code(address)
        assert len(code) == len(artifact(name).deployed_bytecode) > 0, name
        assert chain.nonce(address) == 1


def test_what_is_not_compiled_is_said() -> None:
    with pytest.raises(ChainError, match="not compiled: Nonsense") as caught:
        genesis.make_alloc(["Nonsense"])
    assert caught.value.fix == "make contracts"


def test_it_is_the_same_every_time(chain: Engine) -> None:
    assert Engine(genesis.make_alloc()).head.hash == chain.head.hash


def test_the_accounts_are_those_of_the_mnemonic() -> None:
    Wallet.enable_unaudited_hdwallet_features()
    for account in addresses.ACCOUNTS:
        wallet = Wallet.from_mnemonic(addresses.MNEMONIC, account_path=f"m/44'/60'/0'/0/{account.index}")
        assert bytes(wallet.key) == account.secret
        assert bytes.fromhex(wallet.address[2:]) == account.address


def test_the_accounts_have_money(chain: Engine) -> None:
    for account in addresses.ACCOUNTS:
        assert chain.balance(account.address) == 10_000 * 10**18
        data = keccak(b"balanceOf(address)")[:4] + bytes(12) + account.address
        assert decode(["uint256"], chain.call(addresses.TOKEN, data)) == (10_000 * 10**6,)


def test_the_settlement_signs_for_its_final_address(chain: Engine) -> None:
    """EIP-712's domain separator holds chain and address: it is right only if the constructor ran there."""
    parts = [keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")]
    parts += [keccak(b"x402 Batch Settlement"), keccak(b"1"), (31337).to_bytes(32, "big")]
    parts += [bytes(12) + addresses.SETTLEMENT]
    domain = chain.call(addresses.SETTLEMENT, keccak(b"eip712Domain()")[:4])
    fields = decode(["bytes1", "string", "string", "uint256", "address", "bytes32", "uint256[]"], domain)
    assert fields[1:4] == ("x402 Batch Settlement", "1", 31337)
    assert fields[4] == "0x" + addresses.SETTLEMENT.hex()
    assert keccak(b"".join(parts)) in chain.code(addresses.SETTLEMENT)  # the immutable


def test_genesis_for_geth_has_all_of_it(chain: Engine) -> None:
    alloc = genesis.make_alloc()
    rows = genesis.geth_genesis(alloc)["alloc"]
    assert len(rows) == len(alloc)
    token = rows["0x" + addresses.TOKEN.hex()]
    assert bytes.fromhex(token["code"][2:]) == chain.code(addresses.TOKEN)
    assert {int(slot, 16): int(value, 16) for slot, value in token["storage"].items()} == chain.account(
        addresses.TOKEN
    ).storage
