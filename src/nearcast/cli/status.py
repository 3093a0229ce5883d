"""`nearcast status`: how the running node is doing, or what the store holds when none runs."""

from typing import Any

import typer

from nearcast.cli.options import Call, command


def register(app: typer.Typer) -> None:
    @command(app, "status")
    def status(call: Call) -> None:
        """Show the node's id, addresses, peers and traffic, and what its store holds."""
        from nearcast.cli.asking import ask
        from nearcast.cli.keeping import open_store
        from nearcast.errors import StoreLockedError

        config = call.config()
        try:
            store = open_store(config)
        except StoreLockedError as locked:
            pins = ask(config.data_dir, locked, "pins", {})["pins"]
            found = ask(config.data_dir, locked, "status", {}) | {"running": True, "pins": len(pins)}
        else:
            from nearcast.gateways.control.storing import state

            with store as opened:
                found = state(opened) | {"running": False, "data_dir": str(config.data_dir)}
        call.output.result(found, lines=_lines(found), essential=["running" if found["running"] else "stopped"])


def _lines(found: dict[str, Any]) -> list[str]:
    from nearcast.cli.amounts import bytes_text, count_text, seconds_text

    store = found["store"]
    kept = f"{count_text(store['objects'], 'object')}, {count_text(found['pins'], 'pin')}"
    quota = f"{bytes_text(store['cached_bytes'])} of {bytes_text(store['quota_bytes'])}"
    rows = [("Store", found["data_dir"]), ("Holds", f"{kept}, {bytes_text(store['held_bytes'])}"), ("Cache", quota)]
    if not found["running"]:
        return _table([("Node", "not running"), *rows])
    rows = [
        ("Node", found["endpoint_id"]),
        ("Running", f"for {seconds_text(found['uptime_s'])}, version {found['version']}"),
        ("Address", "  ".join(found["addresses"])),
        ("Browser", f"{found['http']}/"),
        *rows,
    ]
    rows += [("Peer", _peer(peer)) for peer in found["peers"]]
    if found.get("overlay"):
        from nearcast.cli.peer_views import summary_rows

        rows += summary_rows(found["overlay"])
    rows += [(name.replace("_", " ").capitalize(), f"{value:,}") for name, value in sorted(found["counters"].items())]
    return _table(rows)


def _peer(peer: dict[str, Any]) -> str:
    from nearcast.cli.amounts import count_text
    from nearcast.cli.output import printable

    told = [peer["endpoint_id"], *map(printable, peer["addresses"]), f"from {', '.join(peer['known_from'])}"]
    return "  ".join(told + ([count_text(peer["failures"], "failure")] if peer["failures"] else []))


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [f"  {name:<{width}}  {value}" for name, value in rows]
