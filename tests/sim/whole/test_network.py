"""The network between whole nodes."""

import asyncio
import random

import pytest

from nearcast.errors import UsageError
from nearcast.keys import identity_from_secret
from nearcast.sim.figures.whole_nodes import WholeScenario
from nearcast.sim.tables import read_table
from nearcast.sim.whole.loop import VirtualLoop, run_virtually
from nearcast.sim.whole.network import Host, WorldNetwork, narrow
from nearcast.transport import memory_pipe

SLOW_BYTES_PER_S = 375_000.0  # 3 Mbit/s
STREAMS = 4
SENT_BYTES = 1 << 20


def longest_silence_s() -> float:
    """Of any of some streams that share a slow line."""

    async def send(stream: object) -> None:
        await stream.send.write(bytes(SENT_BYTES))  # type: ignore[attr-defined]
        await stream.send.finish()  # type: ignore[attr-defined]

    async def silence_s(loop: VirtualLoop, stream: object) -> float:
        longest_s, heard_s = 0.0, loop.time()
        while await stream.receive.read(1 << 16):  # type: ignore[attr-defined]
            longest_s, heard_s = max(longest_s, loop.time() - heard_s), loop.time()
        return longest_s

    async def main(loop: VirtualLoop) -> float:
        network = WorldNetwork(rng=random.Random(1))
        one, other = (
            network.place(
                identity_from_secret(bytes([number] * 32)),
                Host(f"host{number}", 0, SLOW_BYTES_PER_S, SLOW_BYTES_PER_S),
                f"10.0.0.{number}:1",
            )
            for number in (1, 2)
        )
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(other.accept())
            near = await one.connect(other.address())
            far = await accepting
            heard = []
            for _ in range(STREAMS):
                tasks.create_task(send(await near.open_stream()))
                heard.append(tasks.create_task(silence_s(loop, await far.accept_stream())))
        return max(task.result() for task in heard)

    silent_s = run_virtually(main, random.Random(1))
    assert isinstance(silent_s, float)
    return silent_s


def test_streams_that_share_a_slow_line_get_their_pieces_in_turn() -> None:
    assert longest_silence_s() > 4.0  # what a fetch puts up with
    with narrow(SLOW_BYTES_PER_S):
        assert longest_silence_s() < 3.0


def test_a_fast_line_is_left_as_it_is() -> None:
    usual_bytes = memory_pipe.STREAM_BUFFER_BYTES
    with narrow(6_250_000.0):
        assert usual_bytes == memory_pipe.STREAM_BUFFER_BYTES
    with narrow(SLOW_BYTES_PER_S):
        assert usual_bytes > memory_pipe.STREAM_BUFFER_BYTES
    assert usual_bytes == memory_pipe.STREAM_BUFFER_BYTES


def test_a_line_too_slow_to_be_paid_for_is_refused() -> None:
    with pytest.raises(UsageError, match="up_mbps"):
        read_table(WholeScenario, {"up_mbps": 1.0}, "settings")
