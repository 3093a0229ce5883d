"""One result in three ways; nothing from a stranger steers the terminal."""

import io
import json

import pytest

from nearcast.cli.output import Mode, Output, printable


def said(mode: Mode) -> tuple[str, str]:
    output = Output(mode, io.StringIO(), io.StringIO())
    output.note("on the way")
    output.result({"cid": "bafy"}, lines=["it is bafy"], essential=["bafy"])
    output.live({"event": "request"}, line="GET")
    assert isinstance(output.stdout, io.StringIO)
    assert isinstance(output.stderr, io.StringIO)
    return output.stdout.getvalue(), output.stderr.getvalue()


def test_people_get_words_and_notes() -> None:
    assert said(Mode.PEOPLE) == ("it is bafy\nGET\n", "on the way\n")


def test_quiet_says_the_essential_line_only() -> None:
    assert said(Mode.QUIET) == ("bafy\n", "")


def test_programs_get_one_object_per_line_and_no_notes() -> None:
    stdout, stderr = said(Mode.JSON)
    assert [json.loads(line) for line in stdout.splitlines()] == [{"cid": "bafy"}, {"event": "request"}]
    assert stderr == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain ünï", "plain ünï"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("two\nlines", "two\\nlines"), ("\udcff", "\\udcff")],
)
def test_control_characters_are_shown_not_sent(text: str, shown: str) -> None:
    assert printable(text) == shown
