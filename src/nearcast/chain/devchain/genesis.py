"""The first block's state: every contract at its fixed address, and the test accounts with money.

Each constructor runs at the final address in a scratch state, so that immutables and cached domain separators are what
they would be after a deployment; then code and storage are copied. The same allocation goes to anvil as genesis.json.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nearcast.chain.abi import contract
from nearcast.chain.artifacts import artifact_names
from nearcast.chain.devchain import addresses, blocks, machine
from nearcast.chain.devchain.cells import Account, Cells
from nearcast.chain.devchain.engine import CHAIN_ID, GENESIS_TIMESTAMP_S, SYSTEM_CONTRACTS
from nearcast.chain.devchain.machine import State, Surroundings
from nearcast.errors import ChainError

Alloc = dict[bytes, Account]

CONSTRUCTOR_GAS: Final = 100_000_000  # of a scratch state; more than any block has
_ARGUMENTS: Final[Mapping[str, Any]] = {  # by the name of the constructor's parameter, without underscores
    "settlement": addresses.SETTLEMENT,
    "token": addresses.TOKEN,
    "bondtoken": addresses.TOKEN,
    "registry": addresses.REGISTRY,
    "origins": addresses.ORIGINS,
    "blacklist": addresses.BLACKLIST,
    "court": addresses.COURT,
    "governance": addresses.TIMELOCK,
    "timelock": addresses.TIMELOCK,
    "treasury": addresses.TIMELOCK,
    "governor": addresses.GOVERNOR,
    "guardian": addresses.GUARDIAN,
    "blacklister": addresses.GUARDIAN,
    "holders": [account.address for account in addresses.ACCOUNTS],
    "unitseach": addresses.ACCOUNT_TOKEN_UNITS,
    "quorumfloorunits": addresses.QUORUM_FLOOR_UNITS,
}


def make_alloc(names: Sequence[str] = tuple(addresses.CONTRACTS), chain_id: int = CHAIN_ID) -> Alloc:
    """The accounts of the genesis block. Raises ChainError when a contract is not packaged or its constructor fails."""
    missing = sorted(set(names) - set(artifact_names()))
    if missing:
        raise ChainError(f"contracts are not compiled: {', '.join(missing)}", fix="make contracts")
    cells = Cells()
    for address, account in SYSTEM_CONTRACTS.items():
        cells.write_account(address, account)
    for test_account in addresses.ACCOUNTS:
        cells.write_account(test_account.address, Account(balance=addresses.ACCOUNT_BALANCE_WEI))
    for name in names:
        _construct(cells, name, addresses.CONTRACTS[name], chain_id)
    return cells.accounts()


def packaged() -> tuple[str, ...]:
    """The names of the contracts that can be allocated: those whose artifacts are there."""
    return tuple(name for name in addresses.CONTRACTS if name in artifact_names())


def geth_genesis(alloc: Mapping[bytes, Account], chain_id: int = CHAIN_ID) -> dict[str, Any]:
    """The same first block for geth, and for `anvil --init FILE`: all forks up to Prague from the start."""
    forks = ("homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul")
    config: dict[str, Any] = {f"{fork}Block": 0 for fork in (*forks, "muirGlacier", "berlin", "london", "arrowGlacier")}
    config |= {"grayGlacierBlock": 0, "chainId": chain_id, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0}
    config |= {"terminalTotalDifficulty": 0, "terminalTotalDifficultyPassed": True}
    return {
        "config": config,
        "nonce": "0x0",
        "timestamp": hex(GENESIS_TIMESTAMP_S),
        "extraData": "0x",
        "gasLimit": hex(blocks.GAS_LIMIT),
        "difficulty": "0x0",
        "mixHash": _hex(blocks.ZERO_HASH),
        "coinbase": _hex(blocks.ZERO_ADDRESS),
        "baseFeePerGas": hex(blocks.BASE_FEE_FIRST_WEI),
        "alloc": {_hex(address): _row(account) for address, account in sorted(alloc.items())},
    }


def _construct(cells: Cells, name: str, address: bytes, chain_id: int) -> None:
    surroundings = Surroundings(
        number=0,
        timestamp_s=GENESIS_TIMESTAMP_S,
        base_fee_wei=0,
        gas_limit=CONSTRUCTOR_GAS,
        coinbase=blocks.ZERO_ADDRESS,
        randomness=blocks.ZERO_HASH,
        chain_id=chain_id,
        ancestors=(),
    )
    state = State(cells, surroundings)
    outcome = machine.construct(state, addresses.ACCOUNTS[0].address, address, _code(name), CONSTRUCTOR_GAS)
    if outcome.error is not None:
        data = f": 0x{outcome.revert_data.hex()}" if outcome.revert_data else ""
        raise ChainError(f"the constructor of {name} failed: {outcome.error}{data}")
    cells.end_transaction()


def _code(name: str) -> bytes:
    """The code that constructs it, arguments and all."""
    compiled = contract(name)
    inputs = [entry for part in compiled.artifact.abi if part["type"] == "constructor" for entry in part["inputs"]]
    names = [entry["name"].replace("_", "").lower() for entry in inputs]
    unknown = [entry["name"] for entry, known in zip(inputs, names, strict=True) if known not in _ARGUMENTS]
    if unknown:
        raise ChainError(f"the constructor of {name} wants {', '.join(unknown)}: not known to the genesis")
    return compiled.encode_constructor([_ARGUMENTS[known] for known in names])


def _row(account: Account) -> dict[str, Any]:
    row: dict[str, Any] = {"balance": hex(account.balance), "nonce": hex(account.nonce)}
    if account.code:
        row["code"] = _hex(account.code)
    if account.storage:
        row["storage"] = {_word(slot): _word(value) for slot, value in sorted(account.storage.items())}
    return row


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _word(number: int) -> str:
    return f"0x{number:064x}"
