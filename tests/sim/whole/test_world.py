"""Small worlds of whole nodes: they hold, they repeat themselves, and a fault planted in a node is found."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nearcast.content.store import Store
from nearcast.overlay import link
from nearcast.overlay.heard import HeardPeers
from nearcast.payments import credit
from nearcast.payments.credit import PayeeAccount, PayerAccount
from nearcast.payments.listing import BlacklistFollower
from nearcast.sim.whole import bounds, invariants
from nearcast.sim.whole.disk import Disk
from nearcast.sim.whole.wishes import Acts, Wishes
from nearcast.sim.whole.world import FailedError, Outcome, run_world
from nearcast.transport import memory_pipe
from nearcast.transport.base import PeerAddress

QUIET = Acts(0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0)
WILD = Acts(publish=1, get=10, crash=3, crash_at_disk=2, stop=0.5, partition=0.3, reset=1, bad_disk=0.3, no_chain=0.3)
SMALL = Wishes(nodes=10, duration_s=8, acts=WILD, size_bytes_max=1 << 20, away_s=5)


def test_a_wild_world_holds_and_settles() -> None:
    outcome = run_world(SMALL, 4)
    assert outcome.counts["read"] > 5
    assert outcome.counts["units earned"] > 0
    assert outcome.counts["checked paid"] > 0
    assert outcome.counts["checked kept over a restart"] > 0


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """Of one world, to be had again."""
    return run_world(SMALL, 2)


@pytest.mark.slow
def test_the_same_seed_is_the_same_world(outcome: Outcome) -> None:
    assert run_world(SMALL, 2) == outcome


def test_another_seed_is_another_world() -> None:
    calm = replace(SMALL, nodes=5, duration_s=2, acts=QUIET)
    assert run_world(calm, 2).digest != run_world(calm, 3).digest


PRINTING = """
from tests.sim.whole.test_world import SMALL
from nearcast.sim.whole.world import run_world
print(run_world(SMALL, 2).digest)
"""


@pytest.mark.slow
def test_another_process_with_another_hash_seed_is_the_same_world(outcome: Outcome) -> None:
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", PRINTING],
        env={**os.environ, "PYTHONHASHSEED": other},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert done.stdout == f"{outcome.digest}\n"


def wrong_byte(read_file: Callable[..., bytes]) -> Callable[..., bytes]:
    def read(self: Store, *arguments: Any) -> bytes:
        data = read_file(self, *arguments)
        return bytes([data[0] ^ 1]) + data[1:] if data else data

    return read


def plant_wrong_bytes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "read_file", wrong_byte(Store.read_file))


def plant_double_pay(patch: pytest.MonkeyPatch) -> None:
    def verify(self: PayerAccount, size_bytes: int, price: int) -> None:
        self.verified_parts += 3 * size_bytes * price

    patch.setattr(PayerAccount, "verify", verify)


def plant_endless_credit(patch: pytest.MonkeyPatch) -> None:
    """Payers pay as they should, but for the takers."""
    patch.setattr(PayeeAccount, "may_send", lambda *_: True)


def plant_endless_forgiveness(patch: pytest.MonkeyPatch) -> None:
    """Who comes back is forgiven again and again, where 2 MiB were to be borne."""
    patch.setattr(credit, "FORGIVEN_BYTES", 2 << 20)
    reconcile = PayeeAccount.reconcile

    def forget(self: PayeeAccount, price: int) -> bool:
        self.forgiven_parts, kept_parts = 0, self.forgiven_parts
        try:
            return reconcile(self, price)
        finally:
            self.forgiven_parts += kept_parts

    patch.setattr(PayeeAccount, "reconcile", forget)


def plant_blindness(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(BlacklistFollower, "listed", lambda *_: None)
    patch.setattr(BlacklistFollower, "may_offer", lambda *_: True)
    patch.setattr(invariants, "LISTED_GRACE_S", 5.0)


def plant_forgetful_sync(patch: pytest.MonkeyPatch) -> None:
    """As a store that forgets to sync: nothing is ever safe."""
    patch.setattr(Disk, "sync", lambda *_: None)


def plant_boundless_buffer(patch: pytest.MonkeyPatch) -> None:
    """A sender that never waits, where 64 KiB were promised."""
    patch.setattr(memory_pipe, "STREAM_BUFFER_BYTES", 64 << 20)
    patch.setattr(bounds, "STREAM_BUFFER_BYTES", 64 << 10)


def plant_endless_hearing(patch: pytest.MonkeyPatch) -> None:
    """A table of the overlay that forgets nobody: every message is from somebody new."""
    heard = HeardPeers.heard

    def of_strangers(self: HeardPeers, sender: PeerAddress, now_s: float) -> Any:
        self._peers_max = 1 << 30
        for number in range(200):
            heard(self, replace(sender, endpoint_id=f"{now_s}/{number}".encode()), now_s)
        return heard(self, sender, now_s)

    patch.setattr(HeardPeers, "heard", of_strangers)


def plant_endless_queue(patch: pytest.MonkeyPatch) -> None:
    """A link of the overlay on which nothing makes room, where 256 bytes were promised."""
    patch.setattr(link, "QUEUE_BYTES_MAX", 64 << 20)
    patch.setattr(invariants, "QUEUE_BYTES_MAX", 256)


PAID = Wishes(nodes=8, duration_s=30, acts=QUIET, size_bytes_min=2 << 20, size_bytes_max=3 << 20)
TAKEN = replace(PAID, acts=replace(QUIET, get=0), large=1, large_bytes_max=8 << 20)
MESHED = replace(PAID, acts=QUIET, size_bytes_min=1, size_bytes_max=1 << 16, overlay=True)


@pytest.mark.parametrize(
    ("plant", "number", "wishes"),
    [
        (plant_wrong_bytes, 1, PAID),
        (plant_double_pay, 2, PAID),
        (plant_endless_credit, 3, TAKEN),
        (plant_endless_forgiveness, 3, replace(TAKEN, large_bytes_min=8 << 20)),
        (plant_blindness, 8, replace(PAID, acts=replace(QUIET, blacklist=6), size_bytes_min=1, size_bytes_max=1 << 16)),
        (plant_forgetful_sync, 10, replace(PAID, acts=replace(QUIET, publish=3, crash=6), away_s=2)),
        (plant_boundless_buffer, 11, PAID),
        (plant_endless_hearing, 11, MESHED),
        (plant_endless_queue, 11, MESHED),
    ],
)
def test_a_planted_fault_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], number: int, wishes: Wishes, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(FailedError) as failed:
        run_world(wishes, 1)
    # A node whose files were lost may not even start: that is found as well, and says so.
    lost = r"|liveness: \S+ does not start" if number == 10 else ""
    assert re.match(rf"invariant {number}: {lost}", failed.value.message)
    assert "seed 1" in failed.value.message
    assert failed.value.fix is not None
    assert "--seed 1" in failed.value.fix
