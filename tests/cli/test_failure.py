"""Every way to fail has one line and one exit code."""

import errno
import io
import json

import pytest

from nearcast.cli.failure import explained, is_closed_pipe, report
from nearcast.errors import DiskFullError, NearcastError, StoreError, UnavailableError, UsageError


def test_an_error_of_ours_is_told_as_it_is() -> None:
    error = UsageError("not a CID", fix="check it")
    assert explained(error) is error


def test_the_one_of_ours_is_found_in_a_group() -> None:
    error = UnavailableError("gone")
    group = BaseExceptionGroup("tasks", [ValueError("x"), BaseExceptionGroup("more", [error])])
    assert explained(group) is error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_a_full_disk(number: int) -> None:
    told = explained(OSError(number, "no room", "/data/x"))
    assert isinstance(told, DiskFullError)
    assert told.message.startswith("the disk is full: /data/x: ")


def test_any_other_operating_system_error_names_the_file() -> None:
    told = explained(PermissionError(errno.EACCES, "Permission denied", "/data/x"))
    assert isinstance(told, StoreError)
    assert told.message == "/data/x: permission denied"


def test_a_bug_is_one_line_with_its_type() -> None:
    told = explained(KeyError("a\nb"))
    assert told.exit_code == 1
    assert told.message == r"unexpected KeyError: 'a\nb'"
    assert told.fix is not None
    assert "NEARCAST_TRACEBACK=1" in told.fix


def test_people_read_two_lines() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    report(UsageError("not\na CID", fix="check it"), as_json=False, stdout=stdout, stderr=stderr)
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "nearcast: not a CID\n  fix: check it\n")


def test_programs_read_one_object() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    report(NearcastError("odd"), as_json=True, stdout=stdout, stderr=stderr)
    fields = {"type": "NearcastError", "message": "odd", "fix": None, "exit_code": 1}
    assert (json.loads(stdout.getvalue()), stderr.getvalue()) == ({"error": fields}, "")


def test_a_closed_pipe_is_seen_even_in_a_group() -> None:
    assert is_closed_pipe(BaseExceptionGroup("tasks", [BrokenPipeError()]))
    assert not is_closed_pipe(ConnectionResetError())
    assert not is_closed_pipe(SystemExit(1))


def test_a_closed_pipe_is_seen_behind_an_exit() -> None:
    ended = SystemExit(1)
    ended.__context__ = BrokenPipeError()
    assert is_closed_pipe(ended)
