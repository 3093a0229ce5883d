"""From `host:port`, as peers write it, to the `ip:port` that can be dialled.

An address that is a number is ready as it is. A name has to be looked up, in a thread that the system's resolver may
hold for half a minute; and names come from strangers, who may run the name server, too. So names have threads of their
own (files are read in asyncio's), few names of a peer are looked up, and nobody waits long for them: a name that is
late is left out.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

ADDRESSES_MAX = 16  # of one peer, dialled at once; guess
PORT_MAX = 65_535
NAMES_MAX = 2  # of one peer; guess: a name for each of two providers of Internet
PATIENCE_S = 2.0  # glibc asks a name server again after 5 s: what takes longer than this has been lost on the way
THREADS = 8  # guess: slow names of eight strangers at once, then all names have to wait
LOOKUPS_MAX = 64  # under way and waiting; further names are left out

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolve")
_lookups: set[Future[list[str]]] = set()


async def resolve(addresses: Iterable[str], patience_s: float = PATIENCE_S) -> list[str]:
    """The `ip:port` of each `host:port`, at most ADDRESSES_MAX; what is none, and a name that leads nowhere, left out.

    Numbers come first. Raises nothing.
    """
    found: list[str] = []
    names: dict[str, list[str]] = {}
    for address in addresses:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        if not (port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
            continue
        ip = _literal(host)
        if ip is not None:
            found.append(_place(ip, port))
        elif host in names or len(names) < NAMES_MAX:
            names.setdefault(host, []).append(port)
    for host, ips in (await _looked_up(names, patience_s)).items():
        found += [_place(ip, port) for port in names[host] for ip in ips]
    return list(dict.fromkeys(found))[:ADDRESSES_MAX]


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _place(ip: str, port: str) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


async def _looked_up(names: Iterable[str], patience_s: float) -> dict[str, list[str]]:
    """Of each name its addresses, as far as they are known in time."""
    asked: dict[str, asyncio.Future[list[str]]] = {}
    for name in names:
        if len(_lookups) < LOOKUPS_MAX:
            lookup = _threads.submit(_ask_system, name)
            _lookups.add(lookup)
            lookup.add_done_callback(_lookups.discard)
            asked[name] = asyncio.wrap_future(lookup)
    try:
        if asked:
            await asyncio.wait(asked.values(), timeout=patience_s)
        return {name: lookup.result() for name, lookup in asked.items() if lookup.done()}
    finally:
        for late in asked.values():
            late.cancel()  # what has not begun never will; what has begun ends when the system lets it


def _ask_system(name: str) -> list[str]:
    """Of any family, in the system's order; nothing when it knows none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, ValueError):  # ValueError: no encoding for such a name
        return []
    return [str(place[0]) for _, _, _, _, place in found]
