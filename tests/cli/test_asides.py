"""What is logged below the commands is one line for people, and nothing on stdout."""

import io
import logging

import pytest

from nearcast.cli.asides import say_what_is_logged
from nearcast.cli.output import Mode, Output

LOG = logging.getLogger("nearcast.content.store.store")


@pytest.mark.parametrize("mode", [Mode.JSON, Mode.QUIET])
def test_only_people_are_told(mode: Mode) -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    say_what_is_logged(Output(mode, stdout, stderr))
    LOG.warning("%s: %s", "store_changed", "film.bin has changed")
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "")


def test_it_is_said_once_without_its_event_and_without_control_characters() -> None:
    stderr = io.StringIO()
    say_what_is_logged(Output(Mode.PEOPLE, io.StringIO(), io.StringIO()))
    say_what_is_logged(Output(Mode.PEOPLE, io.StringIO(), stderr))
    LOG.warning("%s: %s", "store_changed", "\x1b[31mfilm.bin has changed")
    LOG.info("not worth a line")
    assert stderr.getvalue() == "  \\x1b[31mfilm.bin has changed\n"
