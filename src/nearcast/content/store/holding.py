"""Held: reachable from a pin. Kept as counts, so that nobody ever walks the world.

    held(object)     = pins on it + stored parents that are held
    parents(object)  = stored parents, held or not

When `held` goes from 0 to 1 the object holds its children, from 1 to 0 it lets go of them. Children that are not here
have a row too (ABSENT), so that what arrives later is held at once. An ABSENT row whose bytes lie inside a flat file
has that file as its child: whoever holds the leaf holds the file.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from nearcast.content.store.index import Transaction
from nearcast.content.store.rows import OURS

RAISE = "update objects set held = held + {by} where id in (%s) returning id, held, place, size + outboard"
LOWER = "update objects set held = held - {by} where id in (%s) returning id, held, place, size + outboard"


class Turned(NamedTuple):
    """An object that became held, or stopped being it."""

    id: int
    evictable_bytes: int


def hold(sql: Transaction, counts: "Counter[int]") -> list[Turned]:
    """Adds to the held counts of these objects, and of what they reach; those that became held."""
    return _spread(sql, counts, RAISE, lambda held, by: held == by)


def release(sql: Transaction, counts: "Counter[int]") -> list[Turned]:
    """Takes from the held counts of these objects, and of what they reach; those that are held no more."""
    return _spread(sql, counts, LOWER, lambda held, by: held == 0)


def _spread(
    sql: Transaction, counts: "Counter[int]", statement: str, turns: Callable[[int, int], bool]
) -> list[Turned]:
    turned: list[Turned] = []
    while counts:
        front: list[int] = []
        for by, ids in grouped(counts).items():
            for row_id, held, place, size_bytes in sql.ask_many(statement.format(by=by), ids):
                if turns(held, by):
                    front.append(row_id)
                    turned.append(Turned(row_id, size_bytes if place in OURS else 0))
        children = sql.ask_many("select child, count(*) from edges where parent in (%s) group by child", front)
        counts = Counter()
        for child, count in children:  # a child may come back once per slice
            counts[child] += count
    return turned


def grouped(counts: "Counter[int]") -> dict[int, list[int]]:
    """The ids by their counts: one statement for all that change by the same number."""
    groups: dict[int, list[int]] = {}
    for row_id, by in counts.items():
        groups.setdefault(by, []).append(row_id)
    return groups
