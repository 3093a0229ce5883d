"""A few kills in each run of the tests; NEARCAST_KILLS=300 makes it as many as a release wants (about half an hour)."""

import os
import random
from pathlib import Path

import pytest
from tests.payments.books import audit
from tests.payments.kills import EPOCH_RUNS, VICTIMS, Kills
from tests.payments.world import paid_world

RUNS = int(os.environ.get("NEARCAST_KILLS", "6"))
RUN_S = 120  # the most that one run takes on a busy machine


@pytest.mark.slow
@pytest.mark.timeout(120 + RUNS * RUN_S)
def test_whoever_is_killed_nothing_is_lost_and_the_fetch_is_finished(tmp_path: Path) -> None:
    seed = int(os.environ.get("NEARCAST_SEED", "7"))
    print(f"seed {seed}")  # pytest shows it when this fails
    with paid_world(tmp_path) as world:
        kills = Kills(world, random.Random(seed))
        kills.clean_run()
        for number in range(1, RUNS + 1):
            print(kills.run(VICTIMS[number % len(VICTIMS)] if number <= len(VICTIMS) else None).line())
            if number % EPOCH_RUNS == 0:
                kills.close_epoch()
        kills.finish()
        assert audit(world, is_settled=True) == []
