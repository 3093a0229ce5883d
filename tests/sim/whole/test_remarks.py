"""What simulated nodes log goes into their story, and neither to the terminal nor into the hash."""

import logging

import pytest

from nearcast.sim.whole.remarks import remarks
from nearcast.sim.whole.story import Story
from nearcast.sim.whole.watching import WHO


def test_what_is_logged_is_told_and_not_hashed(caplog: pytest.LogCaptureFixture) -> None:
    story, log = Story(), logging.getLogger("nearcast.payments")
    before = story.digest
    token = WHO.set("cache3")
    try:
        with remarks(story):
            story.now_s = 12.5
            log.warning("the file %s cannot be written", "/tmp/x")
    finally:
        WHO.reset(token)
    assert story.newest == ["   12.500000  cache3: the file /tmp/x cannot be written"]
    assert story.digest == before
    assert not caplog.records
    log.warning("as ever")
    assert [record.getMessage() for record in caplog.records] == ["as ever"]
