"""The plan: no leaf lost, none asked twice outside the endgame, lowest first, and it ends with one honest source."""

from hypothesis import given
from hypothesis import strategies as st
from tests.depth import by_day

from nearcast.delivery.plan import LACKING_IN_A_ROW_MAX, RUN_LEAVES_MAX, Plan, Run
from nearcast.delivery.select import LATE_UNMEASURED_S, SPAN_BYTES_MAX, SPAN_BYTES_MIN

MIB = 1 << 20


def mebibytes(leaves: int) -> Plan:
    return Plan(leaves, lambda _leaf: MIB)


def leaves_of(run: Run | None) -> list[int]:
    assert run is not None
    return list(range(run.first, run.end))


def deliver(plan: Plan, run: Run, now_s: float) -> None:
    for leaf in range(run.first, run.end):
        plan.verified(run, leaf, MIB, now_s)
    plan.close(run, now_s)


def test_asks_in_order_and_each_leaf_once() -> None:
    plan = mebibytes(4)
    plan.join("near")
    plan.join("far")
    assert leaves_of(plan.next("near", 0)) == [0]
    assert leaves_of(plan.next("far", 0)) == [1]
    assert leaves_of(plan.next("near", 0)) == [2]
    assert leaves_of(plan.next("near", 0)) == [3]
    assert plan.next("near", 0) is None


def test_a_fast_source_is_asked_for_more_at_a_time() -> None:
    plan = mebibytes(64)
    plan.join("fast")
    first = plan.next("fast", 0.0)
    assert first is not None
    deliver(plan, first, 0.001)
    second = plan.next("fast", 0.001)
    assert len(leaves_of(second)) == SPAN_BYTES_MAX // SPAN_BYTES_MIN


def test_small_files_travel_together_up_to_a_bound() -> None:
    plan = Plan(1000, lambda _leaf: 700)
    plan.join("near")
    assert len(leaves_of(plan.next("near", 0))) == RUN_LEAVES_MAX


def test_a_run_respects_its_bound() -> None:
    plan = Plan(10, lambda _leaf: 1, run_end=lambda leaf: 3 if leaf < 3 else 10)
    plan.join("near")
    assert leaves_of(plan.next("near", 0)) == [0, 1, 2]
    assert leaves_of(plan.next("near", 0)) == [3, 4, 5, 6, 7, 8, 9]


def test_what_a_gone_source_owed_goes_to_the_others_first() -> None:
    plan = mebibytes(3)
    plan.join("dying")
    plan.join("living")
    lost = plan.next("dying", 0)
    kept = plan.next("living", 0)
    assert lost is not None
    assert kept is not None
    plan.leave("dying")
    assert leaves_of(plan.next("living", 0)) == [0]
    assert not plan.is_stuck()


def test_verified_leaves_of_a_gone_source_are_kept() -> None:
    plan = Plan(10, lambda _leaf: 1)
    plan.join("dying")
    plan.join("living")
    run = plan.next("dying", 0)
    assert run is not None
    assert plan.verified(run, 0, 1, 0)
    assert plan.verified(run, 4, 1, 0)
    plan.leave("dying")
    assert leaves_of(plan.next("living", 0)) == [1, 2, 3]
    assert leaves_of(plan.next("living", 0)) == [5, 6, 7, 8, 9]


def test_a_leaf_that_one_source_lacks_goes_to_another() -> None:
    plan = mebibytes(1)
    plan.join("without")
    plan.join("with")
    run = plan.next("without", 0)
    assert run is not None
    assert plan.lacks(run, 0, 0)
    plan.close(run, 0)
    assert plan.next("without", 0) is None
    assert not plan.is_stuck()
    assert leaves_of(plan.next("with", 0)) == [0]


def test_stuck_when_nobody_has_the_rest() -> None:
    plan = mebibytes(1)
    assert plan.is_stuck()
    plan.join("without")
    assert not plan.is_stuck()
    run = plan.next("without", 0)
    assert run is not None
    plan.lacks(run, 0, 0)
    assert not plan.is_stuck(), "the request is still under way"
    plan.close(run, 0)
    assert plan.is_stuck()


def test_a_source_that_lacks_everything_is_of_no_use() -> None:
    leaves = LACKING_IN_A_ROW_MAX + 10
    plan = Plan(leaves, lambda _leaf: 1)
    plan.join("empty")
    asked = 0
    while (run := plan.next("empty", 0)) is not None and all(
        plan.lacks(run, leaf, 0) for leaf in range(run.first, run.end)
    ):
        plan.close(run, 0)
        asked = run.end
    assert run is not None
    assert asked <= LACKING_IN_A_ROW_MAX < leaves


def test_a_silent_run_is_hedged_once_when_nothing_else_is_to_do() -> None:
    plan = mebibytes(1)
    for name in ("silent", "helper", "third"):
        plan.join(name)
    late = plan.next("silent", 0)
    assert late is not None
    assert plan.next("helper", LATE_UNMEASURED_S / 2) is None
    hedge = plan.next("helper", LATE_UNMEASURED_S)
    assert leaves_of(hedge) == [0]
    assert hedge is not None
    assert plan.next("third", 1.5 * LATE_UNMEASURED_S) is None, "one helper is enough"
    assert plan.verified(hedge, 0, MIB, 1)
    assert not plan.is_wanted(late)
    assert not plan.verified(late, 0, MIB, 1), "the owner's copy is the duplicate"
    assert plan.is_done


def test_a_helper_that_falls_silent_is_helped_in_turn_by_a_newcomer() -> None:
    plan = mebibytes(1)
    for name in ("silent", "silent too", "living"):
        plan.join(name)
    assert plan.next("silent", 0) is not None
    assert plan.next("silent too", LATE_UNMEASURED_S) is not None
    assert plan.next("silent", 9 * LATE_UNMEASURED_S) is None, "whoever was asked is not asked again"
    assert leaves_of(plan.next("living", 2 * LATE_UNMEASURED_S)) == [0]


def test_what_came_early_is_not_asked_for() -> None:
    plan = Plan(10, lambda _leaf: 1)
    plan.arrived_early([0, 3, 3, 9])
    plan.join("near")
    assert leaves_of(plan.next("near", 0)) == [1, 2]
    assert leaves_of(plan.next("near", 0)) == [4, 5, 6, 7, 8]
    assert plan.remaining == 7


def test_the_later_half_of_a_slow_run_is_taken_over() -> None:
    plan = mebibytes(6)
    plan.join("slow")
    plan.join("fast")
    for name, duration_s in (("slow", 0.125), ("fast", 0.01)):  # 8 and 100 MiB/s
        run = plan.next(name, 0)
        assert run is not None
        deliver(plan, run, duration_s)
    slow = plan.next("slow", 1)
    assert slow is not None
    assert leaves_of(slow) == [2, 3, 4, 5]
    assert leaves_of(plan.next("fast", 1)) == [4, 5]


class Simulation:
    """Sources that behave as their letters say, driven by drawn steps."""

    def __init__(self, leaves: int, behaviours: dict[str, str]) -> None:
        self.plan = Plan(leaves, lambda leaf: (leaf % 5) * 300_000)
        self.behaviours = behaviours
        self.leaves = leaves
        self.now_s = 0.0
        self.runs: list[Run] = []
        self.cursor: dict[int, int] = {}
        self.verified: list[int] = []
        for name in behaviours:
            self.plan.join(name)

    def ask(self, name: str) -> None:
        run = self.plan.next(name, self.now_s)
        if run is None:
            return
        held = {leaf for other in self.runs for leaf in range(other.first, other.end)}
        wanted = set(range(run.first, run.end))
        assert run.helps is not None or not {leaf for leaf in wanted & held if not self.plan.is_verified(leaf)}
        assert all(not self.plan.is_verified(leaf) for leaf in wanted)
        self.runs.append(run)
        self.cursor[id(run)] = run.first

    def step(self, run: Run) -> None:
        behaviour = self.behaviours[run.source]
        leaf = self.cursor[id(run)]
        if leaf == run.end:
            self.runs.remove(run)
            self.plan.close(run, self.now_s)
            return
        if behaviour == "dies" and leaf % 7 == 3:
            self.plan.leave(run.source)
            self.runs = [other for other in self.runs if other.source != run.source]
            return
        if behaviour == "silent":
            return
        self.cursor[id(run)] = leaf + 1
        if behaviour == "partial" and leaf % 3:
            self.plan.lacks(run, leaf, self.now_s)
        elif self.plan.verified(run, leaf, 300_000, self.now_s):
            self.verified.append(leaf)


@by_day(60)
@given(
    leaves=st.integers(0, 120),
    others=st.lists(st.sampled_from(["honest", "dies", "silent", "partial"]), max_size=4),
    picks=st.lists(st.integers(0, 1 << 16), max_size=300),
)
def test_every_leaf_arrives_once_while_one_honest_source_remains(
    leaves: int, others: list[str], picks: list[int]
) -> None:
    behaviours = {f"{kind}-{number}": kind for number, kind in enumerate([*others, "honest"])}
    world = Simulation(leaves, behaviours)
    names = list(behaviours)
    for pick in picks:
        world.now_s += pick % 5 / 10
        if pick % 2 or not world.runs:
            world.ask(names[pick % len(names)])
        else:
            world.step(world.runs[pick // 2 % len(world.runs)])
    honest = names[-1]
    stalled = [name for name in names if name != honest and behaviours[name] != "partial"]
    for turn in range(20 * leaves + 100):  # from here on the honest one alone goes on: it must be able to finish
        if world.plan.is_done:
            break
        world.now_s += 0.3
        if turn == 20:  # the stall timeout: whoever gives nothing is given up in the end
            for name in stalled:
                world.plan.leave(name)
            world.runs = [run for run in world.runs if run.source not in stalled]
        world.ask(honest)
        for run in [run for run in world.runs if run.source == honest or world.behaviours[run.source] == "partial"]:
            world.step(run)
    assert world.plan.is_done
    assert sorted(world.verified) == list(range(leaves))
