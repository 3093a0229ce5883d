"""The start page is for people at this machine's own addresses, not for scripts of other pages."""

import pytest

from nearcast.gateways.http.landing import is_asked_by_a_person


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8710", "[::1]:8710", "192.168.1.20:8710", "localhost:8710", "kitchen:8710", "kitchen.local", ""]
)
def test_own_addresses_are_answered(host: str) -> None:
    assert is_asked_by_a_person(host, None)
    assert is_asked_by_a_person(host, "navigate")


REBOUND = ["rebound.example:8710", "evil.example", "127.0.0.1.evil.example:8710", "a.local.evil"]


@pytest.mark.parametrize("host", REBOUND)
def test_names_that_can_be_anybodys_are_not(host: str) -> None:
    assert not is_asked_by_a_person(host, None)


@pytest.mark.parametrize("mode", ["cors", "no-cors", "same-origin", "websocket"])
def test_scripts_are_not(mode: str) -> None:
    assert not is_asked_by_a_person("127.0.0.1:8710", mode)
