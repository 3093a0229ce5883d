"""Taking evidence to the Court of a running `nearcast devchain`, from the deposit to the reveal, by the bindings."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.chain.endpoint import no_sleep
from tests.payments.world import Chain, PaidNode

from nearcast.chain.bindings.court import Court
from nearcast.chain.bindings.registry import Registry
from nearcast.chain.bindings.token import Token
from nearcast.chain.deployment import DEV
from nearcast.chain.devchain.addresses import ACCOUNTS
from nearcast.chain.evidence import BlockHeader, Evidence, commitment, header_of
from nearcast.chain.offers import court_domain
from nearcast.chain.rpc import JsonRpc
from nearcast.chain.rpc_types import Receipt
from nearcast.chain.signing import Signer
from nearcast.chain.transaction_journal import TransactionJournal
from nearcast.chain.transaction_signing import Call
from nearcast.chain.transactions import Sender
from nearcast.errors import NearcastError

AT = DEV.contracts
DOMAIN = court_domain(DEV.chain_id, AT["Court"])
Do = Callable[[Call], Awaitable[Receipt]]
Told = TypeVar("Told")


@dataclass
class Courthouse:
    """`number`: which test account brings the charges."""

    chain: Chain
    journal: Path
    number: int = 6

    @property
    def challenger(self) -> bytes:
        return ACCOUNTS[self.number].address

    def header(self, number: int) -> BlockHeader:
        return header_of(self.chain.ask("eth_getBlockByNumber", hex(number), False))

    def stake_units(self, node: PaidNode) -> int:
        """What the operator has at stake."""
        operator = bytes.fromhex(node.operator[2:])

        async def stake(rpc: JsonRpc, _: Do) -> int:
            return sum(await Registry(rpc, AT["Registry"]).read("stakeOf", operator))

        return self._asked(stake)

    def convictions(self, node: PaidNode) -> int:
        operator = bytes.fromhex(node.operator[2:])
        return self._asked(lambda rpc, _: Court(rpc, AT["Court"]).convictions(operator))

    def free_units(self) -> int:
        """What the challenger has in its account: bonds that came back, and rewards."""

        async def docket(rpc: JsonRpc, _: Do) -> int:
            return (await Court(rpc, AT["Court"]).docket(self.challenger)).free_units

        return self._asked(docket)

    def judge(self, evidence: Evidence) -> None:
        """Commit, let the delay pass, reveal. RevertedError when the Court does not believe it; that costs a bond."""
        salt = secrets.token_bytes(32)
        announced = commitment(self.challenger, evidence.hash(DOMAIN), salt)

        async def announce(rpc: JsonRpc, do: Do) -> int:
            court = Court(rpc, AT["Court"])
            await do(Token(rpc, AT["TestUSDC"]).approve(court.address, await court.challenge_bond()))
            await do(court.commit(announced, [evidence.header.number]))
            return (await court.docket(self.challenger)).reveal_from

        async def show(rpc: JsonRpc, do: Do) -> None:
            court = Court(rpc, AT["Court"])
            try:
                await do(court.reveal(evidence, salt))
            except NearcastError:
                await do(court.forfeit(self.challenger))
                raise

        reveal_from = self._asked(announce)
        now_s = int(self.chain.ask("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        self.chain.travel(max(0, reveal_from - now_s) + 1)
        self._asked(show)

    def _asked(self, work: Callable[[JsonRpc, Do], Awaitable[Told]]) -> Told:
        async def whole() -> Told:
            with TransactionJournal.open(self.journal) as journal:
                async with JsonRpc(self.chain.url, DEV.chain_id) as rpc:
                    sender = Sender(rpc, Signer(ACCOUNTS[self.number].secret), journal, sleep=no_sleep)

                    async def do(call: Call) -> Receipt:
                        return (await sender.send(call)).receipt

                    return await work(rpc, do)

        return asyncio.run(whole())
