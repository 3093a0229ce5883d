"""Probes and echoes: the shorter of two times, only from whom was asked, bounded."""

import pytest

from nearcast.errors import RemoteError
from nearcast.overlay.machine import Send
from nearcast.overlay.measuring import (
    COORDINATE_BYTES_MAX,
    PATIENCE_S,
    UNDER_WAY_MAX,
    Echo,
    Measuring,
    Message,
    Probe,
    Sample,
    fields,
    parse,
)
from nearcast.transport.base import PeerAddress

PEER, STRANGER = PeerAddress(bytes(32)), PeerAddress(bytes([1]) * 32)


def probe_of(effect: object) -> Probe:
    assert isinstance(effect, Send)
    assert isinstance(effect.message, Probe)
    assert not effect.is_reliable
    return effect.message


def test_the_shorter_of_two_times_counts() -> None:
    measuring = Measuring()
    first = probe_of(measuring.ask(PEER, 10.0))
    second = probe_of(measuring.answered(PEER, Echo(first.sequence), 10.5))
    sample = measuring.answered(PEER, Echo(second.sequence, b"there"), 10.6)
    assert isinstance(sample, Sample)
    assert (sample.peer, sample.coordinate) == (PEER, b"there")
    assert sample.rtt_s == pytest.approx(0.1)


def test_only_whom_we_asked_answers_once_and_in_time() -> None:
    measuring = Measuring()
    sequence = probe_of(measuring.ask(PEER, 10.0)).sequence
    assert measuring.answered(STRANGER, Echo(sequence), 10.1) is None
    assert measuring.answered(PEER, Echo(sequence + 1), 10.1) is None
    assert measuring.answered(PEER, Echo(sequence), 11.0 + PATIENCE_S) is None
    assert measuring.answered(PEER, Echo(sequence), 10.1) is None


def test_questions_under_way_are_bounded() -> None:
    measuring = Measuring()
    sequences = [probe_of(measuring.ask(PEER, 0.0)).sequence for _ in range(UNDER_WAY_MAX + 1)]
    assert measuring.answered(PEER, Echo(sequences[0]), 0.1) is None
    assert measuring.answered(PEER, Echo(sequences[1]), 0.1) is not None


@pytest.mark.parametrize("message", [Probe(0), Echo(7), Echo(1 << 53, b"x" * COORDINATE_BYTES_MAX)])
def test_what_is_written_is_read_back(message: Message) -> None:
    assert parse(fields(message)) == message


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"t": "p"},
        {"t": "p", "n": True},
        {"t": "p", "n": -1},
        {"t": "x", "n": 1},
        {"t": "e", "n": 1, "c": "text"},
        {"t": "e", "n": 1, "c": bytes(COORDINATE_BYTES_MAX + 1)},
    ],
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(RemoteError):
        parse(value)
