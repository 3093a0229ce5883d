"""Signed envelopes and what nodes say of themselves: strict, small, bound to their topic and their signer."""

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.errors import RemoteError
from nearcast.keys import identity_from_secret, verify
from nearcast.overlay.gossip.announcement import (
    COORDINATE_BYTES_MAX,
    Announcement,
    NodeFacts,
    parse_announcement,
    seal_announcement,
)
from nearcast.overlay.gossip.directory import Directory
from nearcast.overlay.gossip.envelope import open_envelope, seal
from nearcast.overlay.gossip.intake import Intake
from nearcast.overlay.gossip.messages import ANNOUNCEMENT_BYTES_MAX, PAYLOAD_BYTES_MAX
from nearcast.overlay.gossip.settings import GossipSettings
from nearcast.transport.base import PeerAddress

NOW_S = 1_700_000_000.0
SIGNER = identity_from_secret(bytes(31) + b"\x01")
OWN = PeerAddress(SIGNER.endpoint_id, ("192.0.2.1:4001", "[2001:db8::1]:4001"), "https://relay.example/")
FACTS = NodeFacts(price_per_gib=10_000, load_permille=300, mbps=1000, coordinate=bytes(60), region="eu")


def announce(
    *, topic: str = "global", issued_s: float = NOW_S, facts: NodeFacts = FACTS, own: PeerAddress = OWN
) -> bytes:
    return seal_announcement(topic, own, facts, SIGNER.sign, issued_ms=int(issued_s * 1000), lifetime_s=600)


def new_intake(topic: str = "global") -> tuple[Intake, Directory]:
    directory = Directory(10)
    return Intake(topic, directory, verify, GossipSettings(), NOW_S), directory


def test_an_announcement_comes_back_whole() -> None:
    announcement = parse_announcement("global", announce())
    assert announcement.contact == OWN
    assert announcement.facts == FACTS
    assert announcement.expires_s == NOW_S + 600
    envelope = open_envelope("global", announce())
    assert verify(envelope.origin, envelope.signed, envelope.signature)


def test_the_longest_one_is_cut_to_the_bound() -> None:
    addresses = tuple(f"[2001:db8:aaaa:bbbb:cccc:dddd:eeee:{number:04x}]:40001" for number in range(16))
    own = PeerAddress(SIGNER.endpoint_id, addresses, "https://" + "r" * 200 + ".example/")
    facts = NodeFacts(2**63, 1000, 10_000_000, bytes(COORDINATE_BYTES_MAX), "r" * 16)
    payload = announce(facts=facts, own=own)
    assert len(payload) <= ANNOUNCEMENT_BYTES_MAX
    assert parse_announcement("global", payload).facts == facts


@pytest.mark.parametrize(
    "facts",
    [
        NodeFacts(price_per_gib=-1),
        NodeFacts(load_permille=1001),
        NodeFacts(coordinate=bytes(COORDINATE_BYTES_MAX + 1)),
        NodeFacts(region="EU"),
        NodeFacts(region="r" * 17),
    ],
)
def test_facts_out_of_bounds_are_not_announced(facts: NodeFacts) -> None:
    with pytest.raises(RemoteError):
        announce(facts=facts)


def test_a_region_hears_of_its_own_nodes_only() -> None:
    announce(topic="region/eu")
    with pytest.raises(RemoteError, match="another region"):
        announce(topic="region/us")


def test_nobody_announces_another() -> None:
    mallory = identity_from_secret(bytes(31) + b"\x02")
    body = open_envelope("global", announce()).body
    payload = seal(
        "global", mallory.endpoint_id, mallory.sign, kind="node", body=body, issued_ms=int(NOW_S * 1000), lifetime_s=60
    )
    with pytest.raises(RemoteError, match="somebody else"):
        parse_announcement("global", payload)


def test_a_good_one_is_admitted_once() -> None:
    intake, directory = new_intake()
    admitted = intake.admit(announce(), NOW_S)
    assert admitted is not None
    assert admitted.announcement is not None
    directory.add(admitted.announcement)
    assert intake.admit(announce(), NOW_S) is None, "the same again"
    assert intake.admit(announce(issued_s=NOW_S - 10), NOW_S) is None, "an older one"
    assert intake.admit(announce(issued_s=NOW_S + 10), NOW_S + 10) is not None, "a newer one"


def test_a_broadcast_of_one_topic_is_none_of_another() -> None:
    intake, _ = new_intake("region/eu")
    with pytest.raises(RemoteError, match="signature"):
        intake.admit(announce(topic="global"), NOW_S)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_blamed_or_dropped(place: int, change: int) -> None:
    intake, _ = new_intake()
    payload = bytearray(announce())
    payload[place % len(payload)] ^= change
    with contextlib.suppress(RemoteError):
        assert intake.admit(bytes(payload), NOW_S) is None


@given(st.binary(max_size=600))
def test_garbage_is_a_remote_error(payload: bytes) -> None:
    with pytest.raises(RemoteError):
        parse_announcement("global", payload)


@pytest.mark.parametrize("age_s", [301.0, 100_000.0, -121.0])
def test_what_is_not_fresh_is_dropped_without_blame(age_s: float) -> None:
    intake, _ = new_intake()
    assert intake.admit(announce(issued_s=NOW_S - age_s), NOW_S) is None


def test_a_snapshot_may_be_older_but_not_expired() -> None:
    intake, _ = new_intake()
    assert intake.admit_older(announce(issued_s=NOW_S - 500), NOW_S) is not None
    assert intake.admit_older(announce(issued_s=NOW_S - 601), NOW_S) is None
    assert intake.admit_older(announce(issued_s=NOW_S + 500), NOW_S) is None


def test_one_origin_has_a_rate() -> None:
    intake, _ = new_intake()
    limit = GossipSettings().origin_per_minute
    payloads = [announce(issued_s=NOW_S + number / 100) for number in range(limit + 5)]
    assert [intake.admit(payload, NOW_S) is not None for payload in payloads] == [True] * limit + [False] * 5
    assert intake.admit(payloads[-1], NOW_S + 61) is not None, "a minute later it may again"


def test_a_forger_does_not_use_up_anothers_rate() -> None:
    intake, _ = new_intake()
    for number in range(100):
        forged = seal(
            "global",
            SIGNER.endpoint_id,
            lambda _: bytes(64),
            kind="text",
            body=bytes([number]),
            issued_ms=int(NOW_S * 1000),
            lifetime_s=60,
        )
        with pytest.raises(RemoteError, match="signature"):
            intake.admit(forged, NOW_S)
    assert intake.admit(announce(), NOW_S) is not None


def test_an_oversize_body_is_not_sealed() -> None:
    with pytest.raises(RemoteError, match="more than"):
        seal(
            "global",
            SIGNER.endpoint_id,
            SIGNER.sign,
            kind="text",
            body=bytes(PAYLOAD_BYTES_MAX),
            issued_ms=0,
            lifetime_s=1,
        )


def numbered(number: int, issued_ms: int = 1000) -> Announcement:
    return Announcement(PeerAddress(number.to_bytes(32, "big")), NodeFacts(), issued_ms, 100, False, b"")


def test_the_directory_is_bounded_and_keeps_the_newest() -> None:
    directory = Directory(3)
    for number in range(5):
        directory.add(numbered(number))
    assert len(directory) == 3
    assert directory.get((1).to_bytes(32, "big"), 0.0) is None
    directory.add(numbered(2, 2000))
    directory.add(numbered(7))
    assert directory.get((2).to_bytes(32, "big"), 0.0) == numbered(2, 2000), "heard of lately: not the first to go"
    assert not directory.is_news(numbered(2, 2000))
    assert directory.is_news(numbered(2, 2001))
    assert len(directory.sample(2, random.Random(1), 0.0)) == 2
    assert directory.current(200.0) == []
    assert len(directory) == 0
