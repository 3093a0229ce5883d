"""Which addresses belong together, so that one machine or one network cannot fill a routing table.

A group is an IP address or its network (/24, for IPv6 /48: what one customer of a provider usually has). A contact is
in the groups of every address that it claims and of the one that its connection came from; whoever claims many fills
many groups. (Over a relay alone nothing is seen of where it is: there its claims are all there is.) Private and
loopback addresses name no group: on another's LAN they mean nothing. A contact without any public address is
"unplaced"; nodes of a LAN treat those as harmless, others give them a part of a bucket only.
"""

import ipaddress
from functools import lru_cache

_CACHED_ADDRESSES = 1 << 14
IPV4_PREFIX_BITS = 24
IPV6_PREFIX_BITS = 48

AddressGroup = tuple[int, int, int]
"""(IP version, bits of the prefix, the prefix as a number)."""


@lru_cache(maxsize=_CACHED_ADDRESSES)
def groups_of(address: str) -> tuple[AddressGroup, ...]:
    """The IP and its network; nothing for a host name and for an address that is not of the public Internet."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return ()  # a host name: whoever has it is resolved when dialled, and the connection's own address counts then
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if not ip.is_global:
        return ()
    prefix_bits = IPV4_PREFIX_BITS if ip.version == 4 else IPV6_PREFIX_BITS
    return (
        (ip.version, ip.max_prefixlen, int(ip)),
        (ip.version, prefix_bits, int(ip) >> (ip.max_prefixlen - prefix_bits)),
    )


@lru_cache(maxsize=_CACHED_ADDRESSES)
def groups_of_all(addresses: tuple[str, ...]) -> tuple[AddressGroup, ...]:
    """The groups of all addresses, each once, in the order of the addresses."""
    return tuple(dict.fromkeys(group for address in addresses for group in groups_of(address)))


def is_single_address(group: AddressGroup) -> bool:
    """Whether the group is one IP, not a network."""
    return group[1] not in (IPV4_PREFIX_BITS, IPV6_PREFIX_BITS)
