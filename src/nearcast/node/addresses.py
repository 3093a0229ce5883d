"""The addresses by which others on the local network reach this machine."""

import ifaddr


def lan_hosts() -> list[str]:
    """IPv4 addresses of this machine that are not loopback; the usual ones of a home or an office first."""
    found = [
        str(ip.ip)
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if ip.is_IPv4 and not str(ip.ip).startswith(("127.", "169.254."))
    ]
    return sorted(dict.fromkeys(found), key=lambda host: not host.startswith(("192.168.", "10.")))
