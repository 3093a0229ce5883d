"""Asking the node that has the store open: the other end of the control door."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearcast.errors import StoreLockedError, UnavailableError
from nearcast.gateways.control.door import PREFIX
from nearcast.gateways.control.faults import error_of
from nearcast.gateways.control.running import Running, read_running

CONNECT_TIMEOUT_S = 5.0  # loopback: a node that does not accept by then is stuck
PIECE_BYTES = 1 << 20
WINDOW_BYTES = 32 << 20  # guess: far over the cost of a request on loopback, far under anyone's memory


def ask(data_dir: Path, locked: StoreLockedError, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The running node's result. Raises `locked` when there is no node to ask, or the error that the node met."""
    with _answer(data_dir, locked, name, arguments) as answer:
        result = json.loads(answer.read())
    if not isinstance(result, dict):
        raise UnavailableError("the running node gave an answer that is not an object")
    return result


def ask_for_bytes(data_dir: Path, locked: StoreLockedError, name: str, arguments: dict[str, Any]) -> Iterator[bytes]:
    """The bytes `start` to `end` of a streamed answer. Raises UnavailableError when some are missing.

    Asked for window by window: the node's HTTP server holds in memory what the asker has not read yet, however much
    that is, so no more is asked for at a time than may lie there.
    """
    for start in range(arguments["start"], arguments["end"], WINDOW_BYTES):
        end = min(start + WINDOW_BYTES, arguments["end"])
        received = 0
        with _answer(data_dir, locked, name, arguments | {"start": start, "end": end}) as answer:
            while piece := answer.read1(PIECE_BYTES):
                received += len(piece)
                yield piece
        if received != end - start:
            raise UnavailableError(f"the running node broke off after {received} of {end - start} bytes")


@contextmanager
def _answer(
    data_dir: Path, locked: StoreLockedError, name: str, arguments: dict[str, Any]
) -> Iterator[http.client.HTTPResponse]:
    running = read_running(data_dir)
    if running is None:
        raise locked
    connection = _connected(running, locked)
    headers = {"authorization": f"Bearer {running.token}", "content-type": "application/json"}
    try:
        connection.request("POST", PREFIX + name, json.dumps(arguments), headers)
        answer = connection.getresponse()
        if answer.status == http.client.FORBIDDEN:
            raise locked  # the file was left by another node: whoever answers there does not know our token
        if answer.status != http.client.OK:
            raise _failure(answer)
        yield answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnavailableError(f"the running node (process {running.pid}) went away: {error}") from error
    finally:
        connection.close()


def _connected(running: Running, locked: StoreLockedError) -> http.client.HTTPConnection:
    host, _, port = running.http_address.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=CONNECT_TIMEOUT_S)
    try:
        connection.connect()
    except OSError as error:
        raise locked from error
    connection.sock.settimeout(None)  # importing or fetching takes as long as it takes; a dead node ends the connection
    return connection


def _failure(answer: http.client.HTTPResponse) -> Exception:
    value = json.loads(answer.read())
    return error_of(value.get("error") if isinstance(value, dict) else None)
