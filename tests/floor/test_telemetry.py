"""Counters and events."""

from typing import Any

from nearcast.telemetry import Telemetry


def test_counters_add_up_and_listeners_hear_events() -> None:
    telemetry = Telemetry()
    heard: list[tuple[str, dict[str, Any]]] = []
    telemetry.listen(lambda event, fields: heard.append((event, fields)))
    telemetry.count("fetch_bytes", 10)
    telemetry.count("fetch_bytes", 5)
    telemetry.event("served", peer="a")
    assert telemetry.counters["fetch_bytes"] == 15
    assert telemetry.counters["never"] == 0
    assert heard == [("served", {"peer": "a"})]
