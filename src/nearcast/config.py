"""What an operator may set, where it comes from, and what it may be.

Later wins: defaults, the TOML file (`<data-dir>/config.toml` or --config), the environment, flags. A key `b` in table
`[a]` is `NEARCAST_A_B` in the environment. Unknown keys and impossible values are refused with the name of the place.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from nearcast.errors import UsageError

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
SIZE_BYTES_MAX = 1 << 60  # 1 EiB; above it a float no longer tells bytes apart anyway
FETCH_POLICIES = ("local", "always", "never")
DETECTORS = ("swim", "van-renesse")
COORDINATES = ("nearcast", "vivaldi", "serf", "pharos", "pcoord")
CONFIRMATIONS_MAX = 10_000  # guess: hours on any chain; more is a typing mistake
AMOUNT_DIGITS_MAX = 9  # before the point. Guess: nobody has that much; more is a typing mistake
POLL_S_MAX = 999_999  # guess: eleven days; more is a typing mistake


@dataclass(frozen=True, slots=True)
class StoreConfig:
    quota_bytes: int = 10 << 30  # cached content only; own and pinned content is never evicted. Guess: fits any laptop
    scrub_bytes_per_s: int = 8 << 20  # background re-verification: a 1 TiB store in a day and a half


@dataclass(frozen=True, slots=True)
class HttpConfig:
    listen: str = "127.0.0.1:8710+"  # with a `+` the next free port will do
    fetch: str = "local"  # who may make this node fetch what it lacks: "local" = clients on this machine


@dataclass(frozen=True, slots=True)
class QuicConfig:
    listen: str = "0.0.0.0:0"
    advertise: tuple[str, ...] = ()  # addresses to put into links besides the ones found
    relay: str = "none"  # "none", "default" (the public iroh relays) or a relay's https URL


@dataclass(frozen=True, slots=True)
class PeersConfig:
    known: tuple[str, ...] = ()  # `ENDPOINT-ID@host:port[,host:port]`, always asked
    lan: bool = True  # find nodes on the local network by mDNS, and be found


@dataclass(frozen=True, slots=True)
class OverlayConfig:
    """Finding content and nodes beyond the LAN and the known peers."""

    enabled: bool = True  # take part in the hash table, the gossip and the failure detection of all nodes
    region: str = ""  # a country such as DE, or a part of one such as us-west; empty: the registered one, or unknown
    detector: str = "swim"  # who watches which nodes are alive: swim, or van-renesse to compare
    coordinates: str = "nearcast"  # how round-trip times are estimated: one of COORDINATES
    links_max: int = 256  # overlay streams with other nodes at once; three quarters at most of them opened by others
    members_max: int = (
        48  # watched by the failure detector: each is a connection; overlay/links.py has the price of one
    )
    provided_max: int = 10_000  # roots that others find this node by; each costs 20 records an hour


@dataclass(frozen=True, slots=True)
class ChainConfig:
    network: str = "dev"  # which chain and whose contracts: chain/deployment.py knows the names
    rpc: str = "http://127.0.0.1:8545"  # where `nearcast devchain` listens
    confirmations: int | None = None  # blocks to wait for, the one with the transaction counted; None: the network's
    wallet: Path | None = None  # the keystore file; None: <data-dir>/wallet.json


@dataclass(frozen=True, slots=True)
class PaymentsConfig:
    """Money, in units of 1e-6 USDC; in files, variables and flags as USDC ("0.01").

    The market's price of a GiB is about 0.01 USDC (guess, from the lowest prices of CDNs and of deCDN).
    """

    price: int | None = None  # what this node asks per GiB; None: it serves for free
    max_price: int = 50_000  # per GiB, the most that this node pays; guess: five times the market
    fetch_cap: int = 1_000_000  # for one fetch; guess: 20 GiB at the dearest
    day_cap: int = 5_000_000  # for one day (UTC), over all fetches
    deposit: int = 1_000_000  # into a new channel; what is not used can be withdrawn
    free_peers: tuple[str, ...] = ()  # endpoint ids that are served for free by a node that has a price
    relay: bool = True  # fetch what is asked for and not here from others, for whoever pays
    relay_at_loss: bool = False  # even where others ask more than 7/8 of what this node does (delivery/relay.py)
    keep_relayed: bool = True  # as cached content; false: dropped when nobody reads it any more
    claim_threshold: int = 1_000_000  # claim when so much is pending, and the gas is at most a tenth of it
    usdc_per_eth: int = 3_000_000_000  # to weigh gas against earnings; guess, nobody is asked
    poll_s: int = 10  # how often the chain is looked at for withdrawals; their delay is 15 minutes at least
    claim_file: Path | None = None  # kept as new as the last poll, for a watchtower elsewhere
    http: bool = False  # ask for money over HTTP, too (402, x402), from everybody but this machine


@dataclass(frozen=True, slots=True)
class Config:
    data_dir: Path
    store: StoreConfig = field(default_factory=StoreConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    quic: QuicConfig = field(default_factory=QuicConfig)
    peers: PeersConfig = field(default_factory=PeersConfig)
    overlay: OverlayConfig = field(default_factory=OverlayConfig)
    chain: ChainConfig = field(default_factory=ChainConfig)
    payments: PaymentsConfig = field(default_factory=PaymentsConfig)

    @property
    def wallet_file(self) -> Path:
        """Where the wallet's keystore is."""
        return self.chain.wallet or self.data_dir / "wallet.json"

    def chain_folder(self, chain_id: int) -> Path:
        """Where this machine keeps what it knows of a chain, and what it earned and spent there."""
        return self.data_dir / "chain" / str(chain_id)


def default_data_dir() -> Path:
    """Where a user's own node keeps its store: the platform's data folder."""
    return Path(platformdirs.user_data_dir("nearcast", appauthor=False))


def parse_size_bytes(value: Any) -> int:
    """`500`, `"500MB"`, `"2 GiB"` -> bytes. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a size is a number of bytes, or text like 500MB or 2GiB")
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", str(value).strip())
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise ValueError("a size is a number of bytes, or text like 500MB or 2GiB")
    size_bytes = float(match[1]) * unit
    if size_bytes > SIZE_BYTES_MAX:
        raise ValueError("that is more than any disk holds")
    return int(size_bytes)


def parse_host_port(value: Any) -> str:
    """`host:port`, checked. Raises ValueError."""
    host, colon, port = str(value).rpartition(":")
    if not isinstance(value, str) or not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("an address is host:port, like 127.0.0.1:8710")
    return value


def parse_http_listen(value: Any) -> str:
    """`host:port`, or `host:port+` for that port or the next free one. Raises ValueError."""
    suffix = "+" if isinstance(value, str) and value.endswith("+") else ""
    return parse_host_port(value.removesuffix("+") if suffix else value) + suffix


def parse_usdc_units(value: Any) -> int:
    """`"0.01"` or `0.01` or `1` USDC -> units of 1e-6 USDC. Raises ValueError."""
    text = f"{value:f}".rstrip("0") if isinstance(value, float) else str(value).strip()
    match = re.fullmatch(r"([0-9]+)(?:\.([0-9]{0,6}))?", text)
    if isinstance(value, bool) or match is None:
        raise ValueError("an amount is USDC with at most six decimals, like 0.01")
    if len(match[1].lstrip("0")) > AMOUNT_DIGITS_MAX:
        raise ValueError(f"an amount is less than {10**AMOUNT_DIGITS_MAX:,} USDC")
    return int(match[1].lstrip("0") or "0") * 10**6 + int((match[2] or "").ljust(6, "0"))


def load_config(
    *, data_dir: Path | None, file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]
) -> Config:
    """The configuration; `flags` are `{"http.listen": value}`, a None is not set.

    Raises UsageError naming the file, variable or flag that is wrong.
    """
    chosen = data_dir or (Path(environment["NEARCAST_DATA_DIR"]) if "NEARCAST_DATA_DIR" in environment else None)
    config = Config(data_dir=(chosen or default_data_dir()).expanduser().absolute())
    path = file or config.data_dir / "config.toml"
    if file is not None or path.exists():
        for key, value in _read_toml(path).items():
            config = _set(config, key, value, f"{path}")
    for key in known_keys():
        variable = "NEARCAST_" + key.replace(".", "_").upper()
        if variable in environment:
            config = _set(config, key, environment[variable], variable)
    for key, value in flags.items():
        if value is not None:
            config = _set(config, key, value, "--" + key.replace(".", "-").replace("_", "-"))
    return config


def known_keys() -> tuple[str, ...]:
    """Every settable key, as `table.key`."""
    return tuple(_PARSERS)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    flat: dict[str, Any] = {}
    for table, values in tables.items():
        if not isinstance(values, dict):
            raise UsageError(f"{path}: {table!r} stands outside a table", fix=f"known keys: {', '.join(_PARSERS)}")
        flat |= {f"{table}.{key}": value for key, value in values.items()}
    return flat


def _set(config: Config, key: str, value: Any, place: str) -> Config:
    parser = _PARSERS.get(key)
    if parser is None:
        raise UsageError(f"{place}: unknown key {key!r}", fix=f"known keys: {', '.join(_PARSERS)}")
    try:
        parsed = parser(value)
    except ValueError as error:
        raise UsageError(f"{place}: {key} = {value!r}: {error}") from error
    table, _, name = key.partition(".")
    return replace(config, **{table: replace(getattr(config, table), **{name: parsed})})


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in words:
        raise ValueError("it is true or false")
    return words[str(value).lower()]


def _words(value: Any) -> tuple[str, ...]:
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("it is a list of texts")
    return tuple(items)


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"it is one of {', '.join(choices)}")
        return str(value)

    return parse


def _relay(value: Any) -> str:
    if value in ("none", "default") or (isinstance(value, str) and value.startswith("https://")):
        return str(value)
    raise ValueError('it is "none", "default" or a relay\'s https:// address')


def _rpc(value: Any) -> str:
    """Only the form: whether the chain behind it is the right one, its first answer shows."""
    if isinstance(value, str) and re.fullmatch(r"https?://[^\s/?#]+[^\s#]*", value):
        return value
    raise ValueError("it is an http:// or https:// address")


def _region(value: Any) -> str:
    """In small letters, as the overlay's topics have it."""
    if isinstance(value, str) and re.fullmatch("[A-Za-z0-9-]{0,16}", value):
        return value.lower()
    raise ValueError("it is a short name such as DE or us-west")


def _count(minimum: int, maximum: int, what: str = "") -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        is_number = not isinstance(value, bool) and re.fullmatch("[0-9]{1,9}", str(value))
        if not is_number or not minimum <= int(value) <= maximum:
            raise ValueError(f"it is a number {what and f'of {what} '}from {minimum} to {maximum}")
        return int(value)

    return parse


def _network(value: Any) -> str:
    """Whether a network of that name is known, the chain's own room says."""
    if isinstance(value, str) and re.fullmatch("[a-z][a-z0-9-]{1,31}", value):
        return value
    raise ValueError("it is a name such as dev or base")


def _file(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("it is a file")
    return Path(value).expanduser().absolute()


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "store.quota_bytes": parse_size_bytes,
    "store.scrub_bytes_per_s": parse_size_bytes,
    "http.listen": parse_http_listen,
    "http.fetch": _one_of(*FETCH_POLICIES),
    "quic.listen": parse_host_port,
    "quic.advertise": lambda value: tuple(parse_host_port(item) for item in _words(value)),
    "quic.relay": _relay,
    "peers.known": _words,
    "peers.lan": _boolean,
    "overlay.enabled": _boolean,
    "overlay.region": _region,
    "overlay.detector": _one_of(*DETECTORS),
    "overlay.coordinates": _one_of(*COORDINATES),
    "overlay.links_max": _count(16, 4096),
    "overlay.members_max": _count(8, 4096),
    "overlay.provided_max": _count(0, 200_000),
    "chain.network": _network,
    "chain.rpc": _rpc,
    "chain.confirmations": _count(1, CONFIRMATIONS_MAX, "blocks"),
    "chain.wallet": _file,
    "payments.price": parse_usdc_units,
    "payments.max_price": parse_usdc_units,
    "payments.fetch_cap": parse_usdc_units,
    "payments.day_cap": parse_usdc_units,
    "payments.deposit": parse_usdc_units,
    "payments.free_peers": _words,
    "payments.relay": _boolean,
    "payments.relay_at_loss": _boolean,
    "payments.keep_relayed": _boolean,
    "payments.claim_threshold": parse_usdc_units,
    "payments.usdc_per_eth": parse_usdc_units,
    "payments.poll_s": _count(1, POLL_S_MAX, "seconds"),
    "payments.claim_file": _file,
    "payments.http": _boolean,
}
