"""How the overlay of a running node is shown: a summary for `status`, a table for `peers`."""

from typing import Any, Final

from nearcast.cli.amounts import count_text
from nearcast.cli.output import printable

ID_DIGITS: Final = 8  # as in every other list of nodes
UNKNOWN: Final = "-"


def summary_rows(overlay: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, text) of what `status` says of it."""
    dht, gossip = overlay["dht"], overlay["gossip"]
    standing = "a member" if overlay["is_member"] else "alone"
    region = f", region {printable(overlay['region'])}" if overlay["region"] else ""
    links = [link for link in overlay["links"] if link["open"]]
    kept = sum(link["kept"] for link in links)
    rows = [
        ("Overlay", f"{standing}{region}, about {count_text(dht['nodes_estimated'], 'node')}"),
        (
            "Table",
            f"{count_text(dht['contacts'], 'contact')}, {count_text(dht['records'], 'record')} of others,"
            f" {count_text(dht['provided'], 'root')} told",
        ),
        ("Links", f"{len(links)} open, {kept} of them kept"),
    ]
    rows += [(f"Topic {printable(name)}", _topic(topic)) for name, topic in sorted(gossip.items())]
    members = overlay["detector"]["states"]
    if members:
        rows.append(("Watched", _counted([member["state"] for member in members])))
    coordinate = overlay["coordinate"]
    place = " ".join(f"{number:.1f}" for number in coordinate["vector_ms"])
    where = f"{place} + {coordinate['height_ms']:.1f} ms, error {coordinate['error']:.0%}"
    return [*rows, ("Coordinate", f"{where} ({coordinate['system']}, {count_text(coordinate['samples'], 'sample')})")]


def lines(overlay: dict[str, Any]) -> list[str]:
    """The summary, then a node per line, the nearest first."""
    rows = summary_rows(overlay)
    width = max(len(name) for name, _ in rows)
    shown = [f"  {name:<{width}}  {text}" for name, text in rows]
    if not overlay["nodes"]:
        return [*shown, "", "  no other node is known"]
    links = {link["endpoint_id"]: link for link in overlay["links"] if link["open"]}
    head = f"  {'NODE':<{ID_DIGITS}}  {'STATE':<7}  {'ROUND TRIP':>11}  {'REGION':<9}  {'PRICE':>9}  {'LOAD':>5}  LINK"
    return [*shown, "", head, *(_node(node, links) for node in overlay["nodes"])]


def _node(node: dict[str, Any], links: dict[str, dict[str, Any]]) -> str:
    link = links.get(node["endpoint_id"])
    state = "" if link is None else "kept" if link["kept"] else "open"
    region = printable(node["region"] or UNKNOWN)
    load = UNKNOWN if node["load"] is None else f"{node['load']:.0%}"
    return (
        f"  {node['endpoint_id'][:ID_DIGITS]}  {node['state']:<7}  {_round_trip(node):>11}  {region:<9}"
        f"  {_price(node['price']):>9}  {load:>5}  {state}"
    ).rstrip()


def _round_trip(node: dict[str, Any]) -> str:
    """`~` before what is only estimated."""
    if node["rtt_ms"] is None:
        return UNKNOWN
    return f"{'' if node['is_rtt_measured'] else '~'}{node['rtt_ms']:,.1f} ms"


def _price(units: int | None) -> str:
    """USDC per GiB."""
    if units is None:
        return UNKNOWN
    return "free" if units == 0 else f"{units / 1_000_000:g}"


def _topic(topic: dict[str, Any]) -> str:
    eager = sum(neighbour["is_eager"] for neighbour in topic["active"])
    known = f"{topic['passive']} known besides, {topic['announced']} announced"
    return f"{count_text(len(topic['active']), 'neighbour')} ({eager} in the tree), {known}"


def _counted(states: list[str]) -> str:
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
