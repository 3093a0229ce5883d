"""Where everything is on a development chain: the contracts at fixed addresses, and accounts whose keys are public.

The settlement and its first collector stand where x402 deploys them on every public chain. Ours begin with "Near".
"""

from dataclasses import dataclass
from typing import Final

SETTLEMENT: Final = bytes.fromhex("4020074e9dF2ce1deE5A9C1b5c3f541D02a10003")
ERC3009_COLLECTOR: Final = bytes.fromhex("4020806089470a89826cB9fB1f4059150b550004")
_NEAR: Final = b"Near" + bytes(15)
TOKEN: Final = _NEAR + b"\x01"
ALLOWANCE_COLLECTOR: Final = _NEAR + b"\x02"
REGISTRY: Final = _NEAR + b"\x03"
ORIGINS: Final = _NEAR + b"\x04"
BLACKLIST: Final = _NEAR + b"\x05"
COURT: Final = _NEAR + b"\x06"
TIMELOCK: Final = _NEAR + b"\x07"
GOVERNOR: Final = _NEAR + b"\x08"

CONTRACTS: Final = {  # by the name of the artifact, in the order in which their constructors run
    "TestUSDC": TOKEN,
    "BatchSettlement": SETTLEMENT,
    "ERC3009DepositCollector": ERC3009_COLLECTOR,
    "AllowanceDepositCollector": ALLOWANCE_COLLECTOR,
    "NearcastTimelock": TIMELOCK,
    "Registry": REGISTRY,
    "NearcastGovernor": GOVERNOR,
    "Origins": ORIGINS,
    "Blacklist": BLACKLIST,
    "Court": COURT,
}

MNEMONIC: Final = (
    "test test test test test test test test test test test junk"  # hardhat's and anvil's; everybody knows it
)


@dataclass(frozen=True)
class TestAccount:
    """One account of the mnemonic at m/44'/60'/0'/0/index. `secret` is 32 bytes and public knowledge."""

    __test__ = False  # for pytest

    index: int
    address: bytes
    secret: bytes


def _accounts(*rows: tuple[str, str]) -> tuple[TestAccount, ...]:
    return tuple(
        TestAccount(index, bytes.fromhex(address), bytes.fromhex(secret))
        for index, (address, secret) in enumerate(rows)
    )


ACCOUNTS: Final = _accounts(
    ("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    ("70997970C51812dc3A010C7d01b50e0d17dc79C8", "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    ("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    ("90F79bf6EB2c4f870365E785982E1f101E93b906", "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    ("15d34AAf54267DB7D7c367839AAf71A00a2C6A65", "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    ("9965507D1a55bcC2695C58ba16FB37d819B0A4dc", "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    ("976EA74026E726554dB657fA54763abd0C3a0aa9", "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    ("14dC79964da2C08b23698B3D3cc7Ca32193d9955", "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    ("23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f", "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    ("a0Ee7A142d267C1f36714E4a8F75612F20a79720", "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
)
GUARDIAN: Final = ACCOUNTS[0].address  # wherever a person is needed: the token's blacklister, the emergency body
ACCOUNT_BALANCE_WEI: Final = 10_000 * 10**18
ACCOUNT_TOKEN_UNITS: Final = 10_000 * 10**6
QUORUM_FLOOR_UNITS: Final = 0  # a chain of one's own has too few nodes for a floor
