"""What is estimated for the sake of speed: sizes of messages, regions of sites."""

import random

import pytest
from tests.sim.toys import Got, Note

from nearcast.sim.latency import constant, generated
from nearcast.sim.regions import regions_of
from nearcast.sim.sizes import PACKET_BYTES, SampledSizes


def test_one_in_so_many_is_weighed_and_of_each_class_the_first() -> None:
    weighed: list[object] = []

    def exact(message: Note | Got) -> int:
        weighed.append(message)
        return len(message.text)

    sizes = SampledSizes(exact, every=4)
    given = [sizes(Note("x" * length)) for length in range(10, 20)]
    assert given == [PACKET_BYTES + length for length in (10, 10, 10, 10, 14, 14, 14, 14, 18, 18)]
    assert sizes(Got("four")) == PACKET_BYTES + 4
    assert len(weighed) == 4


def test_one_of_one_is_exact_and_a_sample_comes_close() -> None:
    rng = random.Random(1)
    messages = [Note("x" * rng.randrange(20, 400)) for _ in range(50_000)]
    exact, sampled = (SampledSizes(lambda message: len(message.text), every) for every in (1, 16))
    true = sum(map(exact, messages))
    assert true == sum(len(message.text) + PACKET_BYTES for message in messages)
    assert sum(map(sampled, messages)) == pytest.approx(true, rel=0.03)


def test_regions_are_of_sites_near_to_each_other() -> None:
    latency = generated(150, random.Random(1))
    regions = regions_of(latency, 5)
    assert set(regions) == {f"r{at}" for at in range(5)}
    sites = range(latency.sites)
    same = [latency.rtt_s(a, b) for a in sites for b in range(a) if regions[a] == regions[b]]
    other = [latency.rtt_s(a, b) for a in sites for b in range(a) if regions[a] != regions[b]]
    assert sum(same) / len(same) < 0.6 * sum(other) / len(other)
    assert regions == regions_of(latency, 5)


def test_one_site_is_one_region() -> None:
    assert regions_of(constant(0.1), 6) == ["r0"]
