"""The control door: who is heard, what is obeyed, how errors and streams cross it; and the file that leads to it."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.content.blocks import MissingBlockError
from nearcast.content.cid import raw_cid
from nearcast.errors import NearcastError, NotFoundError, RefusedError, StoreLockedError, UnavailableError, UsageError
from nearcast.gateways.control import arguments
from nearcast.gateways.control.door import BODY_BYTES_MAX, ControlDoor
from nearcast.gateways.control.faults import error_of, fault_of
from nearcast.gateways.control.running import FILE_NAME, Running, advertised, new_token, read_running

TOKEN = "a" * 64


class Request:
    """A request and, afterwards, its answer: what the door sees of granian."""

    def __init__(self, path: str, body: bytes = b"{}", *, client: str = "127.0.0.1:5000", token: str = TOKEN) -> None:
        self.method = "POST"
        self.path = path
        self.client = client
        self.headers = {"authorization": f"Bearer {token}"}
        self._body = body
        self.status = 0
        self.answer = b""

    async def _pieces(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), 1000):
            yield self._body[start : start + 1000]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        assert ("cache-control", "no-store") in headers
        assert not any(name.startswith("access-control") for name, _ in headers)
        self.status, self.answer = status, body

    def response_stream(self, status: int, _headers: list[tuple[str, str]]) -> "Request":
        self.status = status
        return self

    async def send_bytes(self, data: bytes) -> None:
        self.answer += data

    @property
    def json(self) -> Any:
        return json.loads(self.answer)


async def echo(given: dict[str, Any]) -> dict[str, Any]:
    return given


async def fail(given: dict[str, Any]) -> dict[str, Any]:
    raise UnavailableError(given["why"], fix="wait")


async def count_up(given: dict[str, Any]) -> AsyncIterator[bytes]:
    for number in range(given["until"]):
        yield str(number).encode()
    if given.get("then") == "fail":
        raise UnavailableError("gone")


def asked(request: Request) -> Request:
    door = ControlDoor(TOKEN, {"echo": echo, "fail": fail}, {"count": count_up})
    asyncio.run(door(request, request))
    return request


def test_the_owner_is_obeyed() -> None:
    request = asked(Request("/api/v0/echo", b'{"a": 1}'))
    assert (request.status, request.json) == (200, {"a": 1})


@pytest.mark.parametrize("client", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "::1:1", "[::ffff:127.0.0.1]:1"])
def test_this_machine_is_heard(client: str) -> None:
    assert asked(Request("/api/v0/echo", client=client)).status == 200


@pytest.mark.parametrize("client", ["192.168.1.2:1", "[fe80::1]:1", "", "localhost:1", "[::ffff:10.0.0.1]:1"])
def test_other_machines_are_not_even_with_the_token(client: str) -> None:
    assert asked(Request("/api/v0/echo", client=client)).status == 403


@pytest.mark.parametrize("token", ["", "b" * 64, TOKEN[:-1], TOKEN + "a", "ä"])
def test_without_the_token_nothing_is_done(token: str) -> None:
    request = asked(Request("/api/v0/echo", token=token))
    assert request.status == 403
    assert request.json["error"]["type"] == "RefusedError"


def test_only_post_is_taken() -> None:
    request = Request("/api/v0/echo")
    request.method = "GET"
    assert asked(request).status == 400


def test_an_unknown_operation_is_not_found() -> None:
    assert asked(Request("/api/v0/nonsense")).status == 404


def test_an_error_arrives_as_the_same_error() -> None:
    request = asked(Request("/api/v0/fail", b'{"why": "nobody there"}'))
    error = error_of(request.json["error"])
    assert (request.status, type(error), error.message, error.fix) == (503, UnavailableError, "nobody there", "wait")


def test_what_the_node_refuses_is_told_from_who_is_refused() -> None:
    """A command that is sent away asks nobody any further; one whose wish is refused must hear why."""

    async def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise RefusedError("it is on the blacklist")

    request = Request("/api/v0/refuse")
    asyncio.run(ControlDoor(TOKEN, {"refuse": refuse}, {})(request, request))
    assert request.status != 403
    error = error_of(request.json["error"])
    assert (type(error), error.message) == (RefusedError, "it is on the blacklist")


def test_a_stream_arrives_whole_and_breaks_off_when_it_fails() -> None:
    assert asked(Request("/api/v0/count", b'{"until": 5}')).answer == b"01234"
    assert asked(Request("/api/v0/count", b'{"until": 2, "then": "fail"}')).answer == b"01"


def test_a_stream_that_fails_at_once_says_why() -> None:
    request = asked(Request("/api/v0/count", b'{"until": 0, "then": "fail"}'))
    assert (request.status, request.json["error"]["message"]) == (503, "gone")


def test_a_body_over_the_bound_is_refused() -> None:
    assert asked(Request("/api/v0/echo", b" " * (BODY_BYTES_MAX + 1))).status == 502


@given(body=st.binary(max_size=200))
def test_arbitrary_bodies_are_answered(body: bytes) -> None:
    assert asked(Request("/api/v0/echo", body)).status in (200, 400)


def test_deep_json_is_refused() -> None:
    assert asked(Request("/api/v0/echo", b"[" * 100_000)).status == 400


def test_errors_from_elsewhere_cross_as_what_they_refine() -> None:
    error = error_of(fault_of(MissingBlockError(raw_cid(bytes(32)))))
    assert type(error) is NotFoundError
    assert "is not here" in error.message


@given(fault=st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_arbitrary_faults_are_errors_of_ours(fault: Any) -> None:
    assert isinstance(error_of(fault), NearcastError)


def test_a_locked_store_is_a_locked_store_on_both_sides() -> None:
    assert type(error_of(fault_of(StoreLockedError("in use")))) is StoreLockedError


def test_arguments_have_one_type_each(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "text": "a",
        "flag": True,
        "count": 3,
        "path": str(tmp_path),
        "links": [str(raw_cid(bytes(32)))],
    }
    assert (arguments.text(given, "text"), arguments.flag(given, "flag"), arguments.count(given, "count")) == (
        "a",
        True,
        3,
    )
    assert arguments.path(given, "path") == tmp_path
    assert [link.root for link in arguments.links(given, "links")] == [raw_cid(bytes(32))]
    assert arguments.flag({}, "flag") is False


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (arguments.text, 1),
        (arguments.text, None),
        (arguments.flag, "yes"),
        (arguments.count, True),
        (arguments.count, -1),
        (arguments.path, "relative"),
        (arguments.link, "nonsense"),
        (arguments.links, "text"),
        (arguments.links, [1]),
    ],
)
def test_any_other_type_is_a_usage_error(read: Any, value: Any) -> None:
    with pytest.raises(UsageError):
        read({"name": value}, "name")


def test_only_the_owner_can_read_the_token(tmp_path: Path) -> None:
    running = Running(1, "127.0.0.1:8710", new_token(), "peer")
    with advertised(tmp_path, running):
        assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
        assert read_running(tmp_path) == running
    assert read_running(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_token_is_not_in_a_repr() -> None:
    token = new_token()
    assert token not in repr(Running(1, "127.0.0.1:1", token, ""))
    assert token != new_token()


@given(
    content=st.binary(max_size=100) | st.sampled_from([b"[]", b'{"pid":"x","http_address":"a:1","token":"","peer":""}'])
)
def test_arbitrary_files_are_no_running_node(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    (folder / FILE_NAME).write_bytes(content)
    assert read_running(folder) is None
