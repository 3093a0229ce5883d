"""Places and the line for them: nobody is left out, nobody has everything, and no place is lost."""

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.delivery.test_serve import ask, connect, fetch_request
from tests.delivery.world import keep_leaf, run, world

from nearcast.delivery.messages import Wait
from nearcast.delivery.serve_gate import SHARE_MAX, ServeGate

ASKERS = (b"one", b"two", b"three")


def test_who_waits_hears_so_and_is_answered_in_its_turn(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as place:
            gate = ServeGate(1)
            peer = place.peer("peer", gate=gate)
            note = keep_leaf(peer.store, b"note")
            connection = await connect(place, peer)
            assert gate.enter(b"somebody")
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(ask(connection, fetch_request(note)))
                async with asyncio.timeout(5):
                    while not gate.waiting:  # noqa: ASYNC110 - a gate tells nobody who comes
                        await asyncio.sleep(0)
                gate.leave(b"somebody")
            heard = waiting.result()
            assert Wait() in heard
            assert b"note" in heard

    run(main())


@given(st.lists(st.tuples(st.sampled_from(ASKERS), st.sampled_from(["come", "go", "give up"])), max_size=200))
def test_places_are_never_lost_and_never_given_twice(steps: list[tuple[bytes, str]]) -> None:
    async def main() -> None:
        gate = ServeGate(4, waiting_max=8)
        inside: list[bytes] = []
        line: list[tuple[bytes, asyncio.Future[None]]] = []
        for asker, what in steps:
            mine = [entry for entry in line if entry[0] == asker]
            if what == "come":
                if gate.enter(asker):
                    inside.append(asker)
                elif (turn := gate.stand_in_line(asker)) is not None:
                    line.append((asker, turn))
            elif what == "go" and asker in inside:
                inside.remove(asker)
                gate.leave(asker)
            elif what == "give up" and mine:
                line.remove(mine[0])
                gate.give_up(*mine[0])
            for entry in [entry for entry in line if entry[1].done()]:
                line.remove(entry)
                inside.append(entry[0])
            assert len(inside) <= 4
            assert not line or len(inside) == 4, "nobody stands in line beside a free place"
            assert len(line) <= 8

    asyncio.run(main())


def test_past_half_of_the_places_nobody_gets_more_than_its_share() -> None:
    async def main() -> None:
        gate = ServeGate(4 * SHARE_MAX)
        greedy = sum(gate.enter(b"greedy") for _ in range(4 * SHARE_MAX))
        assert greedy == 2 * SHARE_MAX
        turn = gate.stand_in_line(b"greedy")
        assert turn is not None
        assert not turn.done()
        other = gate.stand_in_line(b"other")
        assert other is not None
        assert other.done(), "who stands in line for its share keeps nobody behind it out"

    asyncio.run(main())
