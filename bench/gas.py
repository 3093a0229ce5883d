"""What the operations of the contracts cost: whole receipts of the dev chain, intrinsic gas and calldata included.

The worst case of each is measured: cold slots, and the first time that a party does it where that costs more. Rivals
are published figures. Raiden 0.50's are whole receipts, too (raiden_contracts, data_0.50.0/gas.json). x402's are of its
own snapshot, without calldata and intrinsic gas and with warm slots: a whole receipt of the same code is about 30,000
above. deCDN's is its own lower estimate of proving an ed25519 key on the chain. A goal beside a rival is our bound as a
part of the rival's figure.
"""

from collections.abc import Callable, Iterator
from typing import Final

from tests.contracts.channels import Channel
from tests.contracts.court_stage import courtroom
from tests.contracts.registrations import allow, node_of, send, sign
from tests.contracts.world import DOLLAR, Done, World

from bench.row import Row

BATCH: Final = 10
RAIDEN: Final = "Raiden 0.50, published"
X402: Final = "x402, published, execution only"
DECDN: Final = "deCDN's estimate"


def rows(select: str | None) -> Iterator[Row]:
    measured: list[tuple[str, int, str, int | None, Callable[[World], float]]] = [
        ("open and deposit, by allowance", 120_000, RAIDEN, 142_716, open_by_allowance),
        ("open and deposit, by ERC-3009", 145_000, X402, 111_738, open_by_signature),
        ("claim one and settle", 110_000, f"{RAIDEN}, close and settle", 137_712 + 173_784, claim_and_settle),
        (f"claim of {BATCH} channels, each", 25_000, X402, 192_043 // 10, claim_batch),
        ("cooperative refund of all", 75_000, f"{RAIDEN}, settled together", 167_421, refund),
        ("register with both keys and bond", 250_000, DECDN, 500_000, register),
        ("slash by a blacklisted offer, commit and reveal", 220_000, "", None, slash),
    ]
    world: World | None = None
    for what, bound, rival, rival_value, measure in measured:
        name = f"gas: {what}"
        if select and select not in name:
            continue
        world = world or World()
        with world.fork():
            gas = measure(world)
        goal = bound / rival_value if rival_value else bound
        yield Row(name, gas, "gas", goal, rival, rival_value, lower_is_better=True)


def channel_of(world: World) -> Channel:
    return Channel(world, payer=world.accounts[1], receiver=world.accounts[2])


def open_by_allowance(world: World) -> float:
    """The allowance is there, the approval that gave it is not counted: one is enough for any number of channels."""
    channel = channel_of(world)
    world.token.transact("approve", world.allowance_collector, 10 * DOLLAR, sender=channel.payer)
    done = world.allowance_collector.transact("deposit", channel.config, 10 * DOLLAR, sender=channel.payer)
    return done.gas_used


def open_by_signature(world: World) -> float:
    return channel_of(world).deposit_by_signature(10 * DOLLAR, sender=world.accounts[5]).gas_used


def claim_and_settle(world: World) -> float:
    """The receiver's first."""
    channel = channel_of(world)
    channel.deposit()
    calls = [
        world.settlement.encode("claim", [channel.row(3 * DOLLAR)]),
        world.settlement.encode("settle", channel.receiver, world.token),
    ]
    return world.settlement.transact("multicall", calls, sender=channel.receiver).gas_used


def claim_batch(world: World) -> float:
    """Ten channels of one receiver; the transaction's own 21,000 is shared among them."""
    channels = [channel_of(world).salted(number) for number in range(BATCH)]
    for channel in channels:
        channel.deposit()
    return channels[0].claim(*(channel.row(3 * DOLLAR) for channel in channels)).gas_used / BATCH


def refund(world: World) -> float:
    """By the receiver's signature, sent by anyone; it closes the channel."""
    channel = channel_of(world)
    channel.deposit(10 * DOLLAR)
    arguments = (channel.config, 10 * DOLLAR, 0, channel.sign_refund(0, 10 * DOLLAR))
    return world.settlement.transact("refundWithSignature", *arguments, sender=world.accounts[9]).gas_used


def register(world: World) -> float:
    """By the operator himself or by a relayer with his signature, whichever costs more."""
    own, relayed = node_of(world, 1), node_of(world, 2)
    costs: list[Done] = []
    for node, sender in ((own, own), (relayed, world.accounts[5])):
        with world.fork():
            allow(world, node)
            costs.append(send(world, sign(world, node), sender=sender))
    return max(done.gas_used for done in costs)


def slash(world: World) -> float:
    """The node's first offence; its bond is 1 Gbps worth. The challenger has paid its bond in before."""
    room = courtroom(world)
    room.pay_in()
    room.list_and_wait()
    evidence = room.blacklisted()
    committed = room.commit(evidence)
    room.wait()
    return committed.gas_used + room.reveal(evidence).gas_used
