"""What simulated nodes log: a part of their world's story, and none of the terminal's business.

A log line names folders, which are called otherwise in each run, so that it is told and not hashed.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from nearcast.sim.whole.story import Story
from nearcast.sim.whole.watching import WHO


class _Remarks(logging.Handler):
    def __init__(self, story: Story) -> None:
        super().__init__(logging.WARNING)
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        self._story.remark(WHO.get() or "the world", record.getMessage())


@contextmanager
def remarks(story: Story) -> Iterator[None]:
    """While the block runs, all that is logged goes there and nowhere else."""
    log = logging.getLogger("nearcast")
    handlers, propagates = log.handlers, log.propagate
    log.handlers, log.propagate = [_Remarks(story)], False
    try:
        yield
    finally:
        log.handlers, log.propagate = handlers, propagates
