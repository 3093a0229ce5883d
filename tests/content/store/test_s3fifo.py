"""S3-FIFO: its rules one by one, its invariant under any sequence, and that it beats a plain queue where it should."""

import random
from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from nearcast.content.store.eviction import CachedQueue
from nearcast.content.store.s3fifo import S3Fifo


def test_newcomers_leave_in_the_order_they_came() -> None:
    queue = S3Fifo(100)
    for key in range(5):
        queue.insert(key, 10, fingerprint=key + 1)
    assert [queue.evict() for _ in range(6)] == [0, 1, 2, 3, 4, None]
    assert queue.size_bytes == 0


def test_who_is_asked_for_twice_stays() -> None:
    queue = S3Fifo(100)
    for key in range(5):
        queue.insert(key, 10, fingerprint=key + 1)
    queue.hit(0)
    queue.hit(0)
    queue.hit(1)  # once is what a scan does
    assert [queue.evict() for _ in range(5)] == [1, 2, 3, 4, 0]


def test_who_comes_back_soon_goes_to_the_main_queue() -> None:
    queue = S3Fifo(100)
    for key in range(3):
        queue.insert(key, 10, fingerprint=key + 1)
    assert queue.evict() == 0
    queue.insert(10, 10, fingerprint=1)
    queue.insert(11, 10, fingerprint=11)
    assert [queue.evict() for _ in range(4)] == [1, 2, 11, 10]


def test_the_main_queue_gives_another_round_to_whoever_was_asked_for() -> None:
    queue = S3Fifo(100)
    for key in range(3):
        queue.insert_old(key, 10)
    queue.hit(0)
    assert [queue.evict() for _ in range(3)] == [1, 2, 0]


def test_the_protected_are_passed_over() -> None:
    queue = S3Fifo(100)
    for key in range(4):
        queue.insert(key, 10, fingerprint=key + 1)
    assert queue.evict(protected={0, 1, 3}) == 2
    assert queue.evict(protected={0, 1, 3}) is None
    assert len(queue) == 3
    assert {queue.evict() for _ in range(3)} == {0, 1, 3}


KEYS = st.integers(0, 20)
ACTS = st.lists(st.tuples(st.sampled_from(["insert", "old", "hit", "remove", "evict"]), KEYS, st.integers(0, 50)))


@given(ACTS)
def test_it_always_knows_its_size(acts: list[tuple[str, int, int]]) -> None:
    queue, model = S3Fifo(200), dict[int, int]()
    for act, key, size_bytes in acts:
        if act == "insert":
            queue.insert(key, size_bytes, fingerprint=key + 1)
            model.setdefault(key, size_bytes)
        elif act == "old":
            queue.insert_old(key, size_bytes)
            model.setdefault(key, size_bytes)
        elif act == "hit":
            queue.hit(key)
        elif act == "remove":
            queue.remove(key)
            model.pop(key, None)
        else:
            gone = queue.evict(protected={key})
            assert gone is not None or set(model) <= {key}
            assert gone != key
            model.pop(-1 if gone is None else gone, None)
        assert (len(queue), queue.size_bytes) == (len(model), sum(model.values()))
        assert all(each in queue for each in model)


def misses_of_s3fifo(requests: list[int], room: int) -> int:
    queue, misses = S3Fifo(room), 0
    for key in requests:
        if key in queue:
            queue.hit(key)
            continue
        misses += 1
        queue.insert(key, 1, fingerprint=key + 1)
        while queue.size_bytes > room:
            queue.evict()
    return misses


def misses_of_lru(requests: list[int], room: int) -> int:
    kept: OrderedDict[int, None] = OrderedDict()
    misses = 0
    for key in requests:
        if key in kept:
            kept.move_to_end(key)
            continue
        misses += 1
        kept[key] = None
        if len(kept) > room:
            kept.popitem(last=False)
    return misses


def test_it_misses_less_than_lru_where_most_are_asked_for_once() -> None:
    """The paper's case: a popular few (Zipf), and many one-hit wonders between them."""
    rng = random.Random(7)
    popular = rng.choices(range(1000), weights=[1 / (rank + 1) for rank in range(1000)], k=20_000)
    requests = [key if rng.random() < 0.6 else 10_000 + at for at, key in enumerate(popular)]
    assert misses_of_s3fifo(requests, 100) < 0.97 * misses_of_lru(requests, 100)


def test_the_order_is_only_kept_once_it_is_needed() -> None:
    queue = CachedQueue(100)
    queue.add([(1, 10, 1)])
    queue.hit(1)
    assert not queue.needed(100)
    assert queue.needed(101)
    assert queue.next(1, 10, ()) == []
    queue.load([(1, 10), (2, 60)])
    assert queue.next(15, 10, ()) == [1, 2]
