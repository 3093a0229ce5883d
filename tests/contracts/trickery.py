"""The misbehaving contracts of contracts/hostile/, compiled: tokens, collectors and wallets to try ours on."""

from enum import IntEnum
from functools import cache
from pathlib import Path

from nearcast.chain.artifacts import Artifact, read_artifact


class Answer(IntEnum):
    """What a TrickWallet answers when asked whether it signed; the order is the contract's."""

    YES = 0
    NO = 1
    REVERT = 2
    BURN_ALL_GAS = 3
    RETURN_MUCH = 4
    RETURN_LITTLE = 5


@cache
def hostile(name: str) -> Artifact:
    """The artifact of one of them."""
    return read_artifact((Path(__file__).parent / "hostile" / f"{name}.json").read_bytes())
