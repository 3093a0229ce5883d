"""Who may list what, from when it counts, and that nothing is forbidden after the fact."""

from functools import partial
from typing import Any

import pytest
from eth_hash.auto import keccak
from tests.contracts.accounts import key_of
from tests.contracts.court_stage import COPYRIGHT, HOUR_S, NOBODY, ROOT, SEVERE, refusal
from tests.contracts.world import DAY_S, Contract, Done, World

from nearcast.chain.evidence import EVERYWHERE

GERMANY, FRANCE = b"DE", b"FR"
GOVERNANCE, GUARDIAN, REGION = range(3)  # IBlacklist.Source
BODY = key_of("the body of Germany")


class List:
    """The blacklist and those who write it: the timelock, the guardian (account 0), a body for Germany."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.contract: Contract = world.blacklist
        self.guardian = world.accounts[0]
        self.govern("setRegionalBody", GERMANY, BODY)

    def govern(self, function: str, *args: Any) -> Done:
        return self.contract.transact(function, *args, sender=self.world.timelock)

    def add(self, scope: bytes = EVERYWHERE, root: bytes = ROOT, reason: int = COPYRIGHT) -> Any:
        return self.govern("add", root, scope, reason).event("Added")

    def emergency(self, scope: bytes = EVERYWHERE, reason: int = COPYRIGHT) -> Any:
        return self.contract.transact("addEmergency", ROOT, scope, reason, sender=self.guardian).event("Added")

    def regional(self, region: bytes = GERMANY) -> Any:
        return self.contract.transact("addRegional", ROOT, region, COPYRIGHT, sender=BODY).event("Added")

    def entry(self, scope: bytes = EVERYWHERE) -> Any:
        return self.contract.call("entry", ROOT, scope)

    def counts(self, timestamp_s: int, region: bytes = EVERYWHERE) -> bool:
        return bool(self.contract.call("listedAt", ROOT, region, timestamp_s))


@pytest.fixture
def blacklist(world: World) -> List:
    return List(world)


def test_governance_lists_a_day_ahead_and_for_good(blacklist: List) -> None:
    done = blacklist.govern("add", ROOT, EVERYWHERE, COPYRIGHT)
    at = done.timestamp_s + DAY_S
    assert done.event("Added").args == (ROOT, EVERYWHERE, COPYRIGHT, GOVERNANCE, at, 0, 1)
    assert blacklist.entry() == (at, 0, 0, COPYRIGHT, GOVERNANCE, False)
    assert not blacklist.counts(at - 1)
    assert blacklist.counts(at)
    assert blacklist.counts(at + 10**9)


@pytest.mark.parametrize(
    ("reason", "lapse_s"), [(COPYRIGHT, 14 * DAY_S), (SEVERE - 1, 14 * DAY_S), (SEVERE, 90 * DAY_S)]
)
def test_the_guardian_lists_two_hours_ahead_and_for_a_time(blacklist: List, reason: int, lapse_s: int) -> None:
    now = blacklist.world.now_s
    event = blacklist.emergency(reason=reason)
    at = now + 2 * HOUR_S
    assert (event.source, event.effectiveAt, event.lapsesAt) == (GUARDIAN, at, at + lapse_s)
    assert [blacklist.counts(t) for t in (at - 1, at, at + lapse_s - 1, at + lapse_s)] == [False, True, True, False]


def test_a_body_lists_for_its_own_region(blacklist: List) -> None:
    at = blacklist.regional().effectiveAt
    assert blacklist.entry(GERMANY).source == REGION
    assert blacklist.counts(at, GERMANY)
    assert not blacklist.counts(at, FRANCE)
    assert not blacklist.counts(at)
    assert [blacklist.contract.call("countsAt", ROOT, scope, at) for scope in (GERMANY, FRANCE, EVERYWHERE)] == [
        True,
        False,
        False,
    ]
    assert refusal(partial(blacklist.regional, FRANCE)) == "OnlyRegionalBody"
    assert refusal(partial(blacklist.regional, EVERYWHERE)) == "OnlyRegionalBody"
    blacklist.contract.transact("removeRegional", ROOT, GERMANY, sender=BODY)
    assert not blacklist.counts(at, GERMANY)


@pytest.mark.parametrize("who", ["guardian", "body", "stranger"])
@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("add", (ROOT, EVERYWHERE, COPYRIGHT)),
        ("remove", (ROOT, EVERYWHERE)),
        ("ratify", (ROOT, EVERYWHERE)),
        ("setGuardian", (NOBODY,)),
        ("setRegionalBody", (FRANCE, NOBODY)),
        ("setComplianceWindow", (2 * HOUR_S,)),
        ("setEmergencyWindow", (3 * HOUR_S,)),
        ("setEmergencyLapse", (2 * DAY_S,)),
        ("setSevereLapse", (20 * DAY_S,)),
    ],
)
def test_what_only_governance_does(blacklist: List, who: str, function: str, args: tuple[Any, ...]) -> None:
    sender = {"guardian": blacklist.guardian, "body": BODY, "stranger": key_of("a stranger")}[who]
    blacklist.emergency()
    attempt = partial(blacklist.contract.transact, function, *args)
    assert refusal(partial(attempt, sender=sender)) == "OnlyGovernance"


def test_nobody_else_adds_or_removes(blacklist: List) -> None:
    stranger = key_of("a stranger")
    blacklist.regional()
    transact = blacklist.contract.transact
    for sender in (stranger, BODY, blacklist.world.timelock):
        assert refusal(partial(transact, "addEmergency", ROOT, FRANCE, 1, sender=sender)) == "OnlyGuardian"
    for sender in (stranger, blacklist.guardian, blacklist.world.timelock):
        assert refusal(partial(transact, "addRegional", ROOT, FRANCE, 1, sender=sender)) == "OnlyRegionalBody"
        assert refusal(partial(transact, "removeRegional", ROOT, GERMANY, sender=sender)) == "OnlyRegionalBody"


def test_nobody_as_guardian_or_body_lets_nobody_in(blacklist: List) -> None:
    blacklist.govern("setGuardian", NOBODY)
    blacklist.govern("setRegionalBody", GERMANY, NOBODY)
    assert refusal(blacklist.emergency) == "OnlyGuardian"
    assert refusal(blacklist.regional) == "OnlyRegionalBody"
    transact = partial(blacklist.contract.transact, "addRegional", ROOT, sender=NOBODY)
    assert refusal(partial(transact, EVERYWHERE, 1)) == "OnlyRegionalBody"
    assert refusal(partial(transact, GERMANY, 1)) == "OnlyRegionalBody"


def test_a_body_has_one_region_and_is_not_the_guardian(blacklist: List) -> None:
    set_body = partial(blacklist.govern, "setRegionalBody")
    assert refusal(partial(set_body, FRANCE, BODY)) == "BodyHasRegion"
    assert refusal(partial(set_body, FRANCE, blacklist.guardian)) == "BodyHasRegion"
    assert refusal(partial(blacklist.govern, "setGuardian", BODY)) == "BodyHasRegion"
    for region in (b"\0\0", b"de", b"D\0", b"D1", b"[["):
        assert refusal(partial(set_body, region, key_of("new"))) == "BadScope"
    set_body(GERMANY, key_of("the next body"))
    assert refusal(blacklist.regional) == "OnlyRegionalBody"
    set_body(FRANCE, BODY)
    assert blacklist.contract.call("regionOfBody", BODY) == FRANCE
    assert blacklist.contract.call("regionalBody", GERMANY) == key_of("the next body").address


def test_an_active_entry_is_not_added_again_by_anyone(blacklist: List) -> None:
    first = blacklist.add(GERMANY)
    for again in (partial(blacklist.add, GERMANY), partial(blacklist.emergency, GERMANY), blacklist.regional):
        assert refusal(again) == "AlreadyListed"
    blacklist.world.travel(30 * DAY_S)
    assert refusal(blacklist.regional) == "AlreadyListed"
    assert blacklist.entry(GERMANY).effectiveAt == first.effectiveAt


def test_malformed_entries_are_refused(blacklist: List) -> None:
    assert refusal(partial(blacklist.add, root=bytes(32))) == "ZeroDigest"
    assert refusal(partial(blacklist.add, reason=0)) == "BadReason"
    for scope in (b"de", b"D\0", b"\0D", b"D1", b"@A", b"A["):
        assert refusal(partial(blacklist.add, scope)) == "BadScope"
        assert refusal(partial(blacklist.emergency, scope)) == "BadScope"


def test_removal_pardons_and_only_governance_lists_again_what_it_removed(blacklist: List) -> None:
    at = blacklist.emergency(GERMANY).effectiveAt
    blacklist.govern("remove", ROOT, GERMANY)
    entry = blacklist.entry(GERMANY)
    assert (entry.removedAt, entry.overruled) == (blacklist.world.engine.head.timestamp_s, True)
    assert not blacklist.counts(at, GERMANY)
    assert refusal(partial(blacklist.emergency, GERMANY)) == "Overruled"
    assert refusal(blacklist.regional) == "Overruled"
    assert refusal(partial(blacklist.govern, "remove", ROOT, GERMANY)) == "NotListed"
    again = blacklist.add(GERMANY).effectiveAt
    assert again > at
    assert not blacklist.counts(again - 1, GERMANY)
    assert blacklist.counts(again, GERMANY)


def test_a_body_takes_off_only_what_its_region_listed(blacklist: List) -> None:
    remove = partial(blacklist.contract.transact, "removeRegional", ROOT, GERMANY, sender=BODY)
    assert refusal(remove) == "NotListed"
    for add in (blacklist.add, blacklist.emergency):
        with blacklist.world.fork():
            add(GERMANY)
            assert refusal(remove) == "NotTheirs"
    blacklist.regional()
    blacklist.govern("setRegionalBody", GERMANY, key_of("the next body"))
    assert refusal(remove) == "OnlyRegionalBody"
    blacklist.contract.transact("removeRegional", ROOT, GERMANY, sender=key_of("the next body"))
    blacklist.contract.transact("addRegional", ROOT, GERMANY, COPYRIGHT, sender=key_of("the next body"))


def test_ratifying_clears_the_lapse_and_nothing_else(blacklist: List) -> None:
    before = blacklist.emergency()
    blacklist.world.travel_to(before.lapsesAt - 1)
    blacklist.govern("ratify", ROOT, EVERYWHERE)
    assert blacklist.entry() == (before.effectiveAt, 0, 0, COPYRIGHT, GUARDIAN, False)
    assert blacklist.counts(before.lapsesAt + 10**9)
    assert refusal(partial(blacklist.govern, "ratify", ROOT, EVERYWHERE)) == "NeverLapses"
    assert refusal(partial(blacklist.govern, "ratify", ROOT, FRANCE)) == "NotListed"


def test_what_has_lapsed_is_not_ratified_and_the_guardian_does_not_renew_it(blacklist: List) -> None:
    """A late ratification would forbid what was allowed in between."""
    lapses_at = blacklist.emergency().lapsesAt
    blacklist.world.travel_to(lapses_at)
    assert refusal(partial(blacklist.govern, "ratify", ROOT, EVERYWHERE)) == "NotListed"
    assert refusal(blacklist.emergency) == "Overruled"
    blacklist.contract.transact("prune", ROOT, EVERYWHERE, sender=key_of("anyone"))
    assert refusal(blacklist.emergency) == "Overruled"
    assert blacklist.counts(lapses_at - 1)  # pruning pardons nothing
    again = blacklist.add().effectiveAt
    assert not blacklist.counts(lapses_at - 1)
    assert not blacklist.counts(again - 1)


def test_a_region_lists_what_the_guardians_entry_left(blacklist: List) -> None:
    lapses_at = blacklist.emergency(GERMANY).lapsesAt
    blacklist.world.travel_to(lapses_at)
    assert blacklist.regional().lapsesAt == 0
    assert blacklist.contract.call("count") == 1


def test_pruning_takes_only_lapsed_entries(blacklist: List) -> None:
    prune = partial(blacklist.contract.transact, "prune", ROOT, EVERYWHERE, sender=key_of("anyone"))
    assert refusal(prune) == "NotListed"
    event = blacklist.emergency()
    blacklist.world.travel_to(event.lapsesAt - 1)
    assert refusal(prune) == "NotLapsed"
    assert prune().event("Pruned").version == 2
    assert refusal(prune) == "NotListed"
    blacklist.govern("remove", ROOT, EVERYWHERE)  # still can be pardoned
    assert not blacklist.counts(event.lapsesAt - 1)


def test_windows_do_not_touch_what_is_listed(blacklist: List) -> None:
    blacklist.add()
    blacklist.emergency(FRANCE)
    entries = blacklist.entry(), blacklist.entry(FRANCE)
    for setter, value in (
        ("setComplianceWindow", HOUR_S),
        ("setEmergencyWindow", HOUR_S),
        ("setEmergencyLapse", DAY_S),
        ("setSevereLapse", 14 * DAY_S),
    ):
        blacklist.govern(setter, value)
    assert (blacklist.entry(), blacklist.entry(FRANCE)) == entries
    now = blacklist.world.now_s
    event = blacklist.emergency(GERMANY)
    assert (event.effectiveAt, event.lapsesAt) == (now + HOUR_S, now + HOUR_S + DAY_S)


def test_nothing_added_counts_within_the_hour_whatever_governance_sets(blacklist: List) -> None:
    """What an honest node relies on between two readings of the list."""
    blacklist.govern("setComplianceWindow", blacklist.contract.call("COMPLIANCE_WINDOW_MIN"))
    blacklist.govern("setEmergencyWindow", blacklist.contract.call("EMERGENCY_WINDOW_MIN"))
    for scope, add in ((EVERYWHERE, blacklist.add), (FRANCE, blacklist.emergency)):
        now = blacklist.world.now_s
        assert add(scope).effectiveAt >= now + HOUR_S
    assert blacklist.regional().effectiveAt >= blacklist.world.engine.head.timestamp_s + HOUR_S


def test_digests_do_not_touch_each_other(blacklist: List) -> None:
    blacklist.add(root=keccak(b"another"))
    assert not blacklist.counts(blacklist.world.now_s + 10**6)
    assert blacklist.entry() == (0, 0, 0, 0, 0, False)
