"""The nodes of a world before its time begins: their keys, their places, their money, and who is in the registry."""

import random
from typing import Final

from nearcast.chain.bindings.registry import Registry
from nearcast.chain.bindings.token import Token
from nearcast.chain.deployment import DEV
from nearcast.chain.registration import Registration, registry_domain, sign_registration
from nearcast.chain.signing import Signer
from nearcast.config import Config, OverlayConfig, PaymentsConfig, PeersConfig, StoreConfig
from nearcast.keys import Identity, identity_from_secret
from nearcast.overlay.peers import format_peer
from nearcast.sim.whole.ground import Ground, MemberClock
from nearcast.sim.whole.member import Member
from nearcast.sim.whole.network import Host, Nat
from nearcast.sim.whole.wishes import PRICE_MAX, PRICES, Wishes

WALLET_UNITS: Final = 200_000_000  # of USDC: a bond and many channels
MBPS: Final = 10
REGIONS: Final = ("DE", "US", "JP")
BYTES_PER_MBIT: Final = 125_000
ORIGINS_KNOWN_MAX: Final = 6  # by each cache, from its configuration; guess: a request asks so many at once
WAYS_IN: Final = 3  # nodes of the overlay that each one knows from its configuration; guess: one or two may be away
SELLS: Final = ("origin", "cache", "liar")
PAYS: Final = ("payer", "cache")


def wallets(rng: random.Random, wishes: Wishes) -> dict[str, Signer]:
    """A wallet for each node that sells or pays, by the node's name."""
    counts = wishes.roles.count(wishes.nodes)
    names = [f"{role}{number}" for role, count in sorted(counts.items()) for number in range(count)]
    return {name: Signer(rng.randbytes(32)) for name in names if role_of(name) != "friend"}


def role_of(name: str) -> str:
    """`cache12` is a cache."""
    return name.rstrip("0123456789")


class Peopling:
    """Makes the members of a world, in the order of their names."""

    def __init__(self, ground: Ground, wishes: Wishes, rng: random.Random) -> None:
        self._ground = ground
        self._wishes = wishes
        self._rng = rng
        self._keys: dict[str, Identity] = {}

    def members(self, owners: dict[str, Signer]) -> list[Member]:
        """All of them, none started; who sells stands in the registry."""
        counts = self._wishes.roles.count(self._wishes.nodes)
        names = [f"{role}{number}" for role, count in sorted(counts.items()) for number in range(count)]
        self._keys = {name: identity_from_secret(self._rng.randbytes(32)) for name in names}
        locations = {name: f"10.{place >> 8}.{place & 255}.1:4433" for place, name in enumerate(names)}
        origins = [name for name in names if role_of(name) in ("origin", "liar")]
        found = []
        for name in names:
            known = self._rng.sample(origins, min(ORIGINS_KNOWN_MAX, len(origins))) if role_of(name) == "cache" else []
            if self._wishes.overlay:
                known = list(dict.fromkeys([*known, *self._rng.sample(names, min(WAYS_IN, len(names)))]))
            peers = [f"{self._keys[each].endpoint_id.hex()}@{locations[each]}" for each in known if each != name]
            found.append(self._member(name, locations[name], peers, owners.get(name)))
        for member in found:
            if member.wallet is not None:
                self._fund(member)
        return found

    def _member(self, name: str, location: str, peers: list[str], wallet: Signer | None) -> Member:
        wishes, rng, role = self._wishes, self._rng, role_of(name)
        payments = PaymentsConfig(
            price=PRICES["cache" if role == "cache" else "origin"] if role in SELLS else None,
            max_price=PRICE_MAX,
            day_cap=WALLET_UNITS,
            deposit=200_000,
            poll_s=10,
        )
        config = Config(
            data_dir=self._ground.root,
            store=StoreConfig(quota_bytes=rng.choice((8 << 20, 64 << 20)), scrub_bytes_per_s=1 << 18),
            peers=PeersConfig(known=tuple(peers), lan=False),
            payments=payments,
            overlay=OverlayConfig(enabled=wishes.overlay),
        )
        up, down = wishes.up_mbps * BYTES_PER_MBIT, wishes.down_mbps * BYTES_PER_MBIT
        host = Host(name, rng.randrange(wishes.sites), up, down, self._nat(role))
        clock = MemberClock(
            self._ground.loop,
            rng.uniform(-wishes.skew_s_max, wishes.skew_s_max),
            rng.uniform(-wishes.drift_max, wishes.drift_max),
        )
        hot = Signer(rng.randbytes(32))
        return Member(self._ground, name, role, host, location, self._keys[name], hot, config, clock, wallet)

    def _nat(self, role: str) -> Nat:
        """Who sells is reachable; readers are where readers are."""
        drawn = self._rng.random()
        if role in SELLS or drawn >= self._wishes.cone + self._wishes.symmetric:
            return "open"
        return "cone" if drawn < self._wishes.cone else "symmetric"

    def _fund(self, member: Member) -> None:
        chain, wallet = self._ground.chain, member.wallet
        assert wallet is not None
        rpc = chain.rpc()
        token = Token(rpc, DEV.contracts["TestUSDC"])
        chain.act(self._rng.choice(chain.treasury), token.transfer(wallet.address, WALLET_UNITS))
        if member.role not in SELLS:
            return
        registry = Registry(rpc, DEV.contracts["Registry"])
        chain.act(wallet, token.approve(registry.address, WALLET_UNITS))
        price = member.config.payments.price or 0
        entry = Registration(
            wallet.address, member.hot.address, member.identity.endpoint_id, MBPS, self._rng.choice(REGIONS), price
        )
        domain = registry_domain(DEV.chain_id, registry.address)
        signed = sign_registration(domain, entry, 0, hot_key=member.hot, endpoint=member.identity)
        chain.act(wallet, registry.register(signed))


def peer_text(member: Member) -> str:
    """As configurations name it."""
    return format_peer(member.address)
