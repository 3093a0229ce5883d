"""A chain with very many registered nodes to read: anvil, started from our first block with funded operators in it.

Every registration is a real one: three signatures, the bond pulled, the contract's own events. Only the operators'
money and their allowance are in the first block already.
"""

import asyncio
import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nearcast.chain.abi import contract
from nearcast.chain.artifacts import artifact
from nearcast.chain.devchain import genesis
from nearcast.chain.devchain.addresses import ACCOUNTS, REGISTRY, TOKEN
from nearcast.chain.eip712 import keccak
from nearcast.chain.registration import Registration, registry_domain, sign_registration
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_types import Receipt
from nearcast.chain.signing import Signer
from nearcast.keys import Identity, identity_from_secret

CHAIN_ID = 31337
DOMAIN = registry_domain(CHAIN_ID, REGISTRY)
PER_TRANSACTION = 50  # registrations: 11 million gas, and 60 kB of the 128 kB that a transaction may have
GAS = 16_000_000
FUNDS_UNITS = 100_000_000
PACKAGED = Path(__file__).parents[1] / "tests/interop/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
LISTENING = re.compile(r"Listening on (127\.0\.0\.1:\d+)")
START_S, POLL_S = 30, 0.01


@dataclass(frozen=True)
class Operator:
    """The three keys of one node."""

    operator: Signer
    hot_key: Signer
    endpoint: Identity

    @classmethod
    def of(cls, index: int) -> "Operator":
        secrets = [keccak(f"{role} {index}".encode()) for role in ("operator", "hot key", "endpoint")]
        return cls(Signer(secrets[0]), Signer(secrets[1]), identity_from_secret(secrets[2]))

    def calldata(self, index: int) -> bytes:
        """Its registration, which anyone may send."""
        declared = Registration(
            operator=self.operator.address,
            hot_key=self.hot_key.address,
            endpoint_id=self.endpoint.endpoint_id,
            mbps=10,
            region="DE",
            price_units_per_gib=1_000 + index,
            urls=(f"https://node-{index}.example.org:8443/",),
        )
        signed = sign_registration(
            DOMAIN, declared, 0, hot_key=self.hot_key, endpoint=self.endpoint, operator=self.operator
        )
        return contract("Registry").encode_call("register", list(signed.as_arguments()))


def anvil() -> str | None:
    """The program of the lock file where there is one for this platform, else the one on the PATH, if any."""
    if platform.system() == "Linux" and PACKAGED.is_file():
        return str(PACKAGED)
    return shutil.which("anvil")


@contextmanager
def chain(program: str, operators: Sequence[Operator], home: Path) -> Iterator[str]:
    """The URL of a running anvil whose operators have money."""
    first_block = home / "genesis.json"
    first_block.write_text(json.dumps(genesis.geth_genesis(funded(operators))))
    command = [program, "--init", str(first_block), "--hardfork", "prague", "--port", "0"]
    log = home / "anvil.log"  # not a pipe: nobody would read on after the address
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, env={**os.environ, "HOME": str(home)}) as process:
        try:
            yield f"http://{address(process, log)}"
        finally:
            process.terminate()
            process.wait(timeout=START_S)


def funded(operators: Sequence[Operator]) -> genesis.Alloc:
    """Our first block, where each operator has units of the token and lets the registry pull them."""
    alloc = dict(genesis.make_alloc())
    storage = dict(alloc[TOKEN].storage)
    for one in operators:
        storage[slot_of("_balances", one.operator.address)] = FUNDS_UNITS
        storage[slot_of("allowance", one.operator.address, REGISTRY)] = FUNDS_UNITS
    storage[slot_of("totalSupply")] += FUNDS_UNITS * len(operators)
    alloc[TOKEN] = replace(alloc[TOKEN], storage=storage)
    return alloc


def slot_of(label: str, *keys: bytes) -> int:
    """Where the token keeps a value (Solidity, "Layout of State Variables in Storage")."""
    layout = artifact("TestUSDC").storage_layout["storage"]
    (slot,) = [int(row["slot"]) for row in layout if row["label"] == label]
    for key in keys:
        slot = int.from_bytes(keccak(key.rjust(32, b"\0") + slot.to_bytes(32)))
    return slot


def address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline_s:
        if found := LISTENING.search(log.read_text()):
            return found.group(1)
        time.sleep(POLL_S)  # its log is a file, which tells nobody when it grows
    raise RuntimeError(f"anvil does not listen: {log.read_text()[-1000:]}")


async def register(rpc: JsonRpc, operators: Sequence[Operator]) -> None:
    """Register all of them, by a relayer whose key anvil has."""
    for start in range(0, len(operators), PER_TRANSACTION):
        some = operators[start : start + PER_TRANSACTION]
        calls = [one.calldata(start + index) for index, one in enumerate(some)]
        calldata = contract("Registry").encode_call("multicall", [calls])
        message = {"from": f"0x{ACCOUNTS[0].address.hex()}", "to": f"0x{REGISTRY.hex()}", "gas": hex(GAS)}
        sent = await rpc.ask("eth_sendTransaction", message | {"data": f"0x{calldata.hex()}"})
        if not (await mined(rpc, bytes.fromhex(sent[2:]))).succeeded:
            raise RuntimeError(f"the registrations from {start} on were refused")


async def mined(rpc: JsonRpc, transaction_hash: bytes) -> Receipt:
    """The receipt, which takes anvil a moment."""
    for _ in range(int(START_S / POLL_S)):
        if (receipt := await rpc.receipt(transaction_hash)) is not None:
            return receipt
        await asyncio.sleep(POLL_S)  # a chain tells nobody of its new blocks: it is asked
    raise RuntimeError("anvil does not mine")
