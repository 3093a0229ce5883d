"""What the blacklist and the court should do, in plain Python, beside the plain model of stake (stake_model.py).

Nothing is packed or hashed: entries, offences and accounts are dictionaries, a region's history is a list. A refusal is
`Refused` with the name of the contract's error. Signatures and headers are told to the model, never checked by it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.contracts.stake_model import Refused, StakeModel

EVERYWHERE = bytes(2)
HOUR_S = 3_600
DAY_S = 24 * HOUR_S
SEVERE = 128
DOLLAR = 10**6
GOVERNANCE, GUARDIAN, REGION = 0, 1, 2  # IBlacklist.Source
LADDER_BPS = (500, 1_500, 5_000)
REGION_GRACE_S = DAY_S


@dataclass
class Entry:
    """One listing. `lapses_s` 0: never; `removed_s` 0: not."""

    effective_s: int
    lapses_s: int
    reason: int
    source: int
    removed_s: int = 0
    overruled: bool = False
    is_pruned: bool = False

    def lapsed(self, now_s: int) -> bool:
        return self.exists and 0 < self.lapses_s <= now_s

    @property
    def exists(self) -> bool:
        return not self.removed_s

    def counts(self, then_s: int) -> bool:
        return self.exists and self.effective_s <= then_s and not self.lapsed(then_s)


@dataclass
class BlacklistModel:
    """Entries by (digest, scope), and the windows in force."""

    entries: dict[tuple[bytes, bytes], Entry] = field(default_factory=dict)
    bodies: dict[bytes, int] = field(default_factory=dict)  # who speaks for a region
    compliance_s: int = 24 * HOUR_S
    emergency_s: int = 2 * HOUR_S
    emergency_lapse_s: int = 14 * DAY_S
    severe_lapse_s: int = 90 * DAY_S
    version: int = 0

    def add(self, digest: bytes, scope: bytes, reason: int, now_s: int) -> None:
        self._add(digest, scope, reason, GOVERNANCE, now_s + self.compliance_s, 0, now_s)

    def add_emergency(self, digest: bytes, scope: bytes, reason: int, now_s: int) -> None:
        entry = self.entries.get((digest, scope))
        if entry and (entry.overruled or entry.lapsed(now_s)):
            raise Refused("Overruled")
        lapse_s = self.severe_lapse_s if reason >= SEVERE else self.emergency_lapse_s
        self._add(digest, scope, reason, GUARDIAN, now_s + self.emergency_s, lapse_s, now_s)

    def add_regional(self, digest: bytes, region: bytes, reason: int, now_s: int) -> None:
        entry = self.entries.get((digest, region))
        if entry and entry.overruled:
            raise Refused("Overruled")
        self._add(digest, region, reason, REGION, now_s + self.compliance_s, 0, now_s)

    def remove(self, digest: bytes, scope: bytes, now_s: int) -> None:
        entry = self._existing(digest, scope)
        entry.removed_s, entry.overruled = now_s, True
        self.version += 1

    def remove_regional(self, digest: bytes, region: bytes, now_s: int) -> None:
        entry = self._existing(digest, region)
        if entry.source != REGION:
            raise Refused("NotTheirs")
        entry.removed_s = now_s
        self.version += 1

    def ratify(self, digest: bytes, scope: bytes, now_s: int) -> None:
        entry = self._existing(digest, scope)
        if entry.lapsed(now_s):
            raise Refused("NotListed")
        if not entry.lapses_s:
            raise Refused("NeverLapses")
        entry.lapses_s = 0
        self.version += 1

    def prune(self, digest: bytes, scope: bytes, now_s: int) -> None:
        entry = self._existing(digest, scope)
        if not entry.lapsed(now_s):
            raise Refused("NotLapsed")
        if entry.is_pruned:
            raise Refused("NotListed")
        entry.is_pruned = True
        self.version += 1

    @property
    def listed(self) -> set[tuple[bytes, bytes, int, int, int, int]]:
        """The rows of the enumeration."""
        return {
            (*place, entry.effective_s, entry.lapses_s, entry.reason, entry.source)
            for place, entry in self.entries.items()
            if entry.exists and not entry.is_pruned
        }

    def _existing(self, digest: bytes, scope: bytes) -> Entry:
        entry = self.entries.get((digest, scope))
        if entry is None or not entry.exists:
            raise Refused("NotListed")
        return entry

    def _add(
        self, digest: bytes, scope: bytes, reason: int, source: int, effective_s: int, lapse_s: int, now_s: int
    ) -> None:
        entry = self.entries.get((digest, scope))
        if entry and entry.exists and not entry.lapsed(now_s):
            raise Refused("AlreadyListed")
        lapses_s = effective_s + lapse_s if lapse_s else 0
        self.entries[digest, scope] = Entry(effective_s, lapses_s, reason, source)
        self.version += 1


class SignedOffer(NamedTuple):
    """An offer as the model needs it. `key`: the address that signed it, or None for what is no signature."""

    key: bytes | None
    root: bytes
    client: bytes
    price: int
    block: int
    timestamp_s: int


@dataclass
class Account:
    """A challenger's money with the court, and what it has announced."""

    units: int = 0
    bond: int = 0
    announced: object = None
    from_s: int = 0
    until_s: int = 0


@dataclass
class HotKey:
    """Whose it is, for ever, and since when it is replaced; 0: it is not."""

    operator: int
    retired_s: int = 0


@dataclass
class CourtModel:
    """Convictions, accounts and terms. Operators and challengers are numbers."""

    stakes: StakeModel
    blacklist: BlacklistModel
    regions: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)  # (since, region), the oldest first
    keys: dict[bytes, HotKey] = field(default_factory=dict)
    current: dict[int, bytes] = field(default_factory=dict)  # the key that each operator has declared
    accounts: dict[int, Account] = field(default_factory=dict)
    offences: dict[int, list[object]] = field(default_factory=dict)
    treasury: int = 0
    bond_units: int = 10 * DOLLAR
    delay_s: int = 60
    window_s: int = DAY_S
    age_s: int = 5 * DAY_S
    rate_window: int = 15
    reward_bps: int = 5_000

    def of(self, challenger: int) -> Account:
        return self.accounts.setdefault(challenger, Account())

    def use_key(self, operator: int, key: bytes, now_s: int) -> None:
        """An operator signs with this key from now on; the one before is retired, and may come back."""
        if self.current.get(operator, key) != key:
            self._retire(self.current[operator], now_s)
        self.current[operator] = key
        self.keys[key] = HotKey(operator)

    def retire_of_the_gone(self, now_s: int) -> None:
        """Whoever is no node any more has retired its key."""
        for operator, key in self.current.items():
            if not self.stakes.of(operator).registered:
                self._retire(key, now_s)

    def commit(self, challenger: int, announced: object, now_s: int) -> int:
        """Returns what had to be paid in."""
        account = self.of(challenger)
        if account.bond:
            if now_s <= account.until_s:
                raise Refused("AlreadyCommitted")
            self.treasury += account.bond
        missing = max(0, self.bond_units - account.units)
        account.units += missing - self.bond_units
        account.bond, account.announced = self.bond_units, announced
        account.from_s, account.until_s = now_s + self.delay_s, now_s + self.window_s
        return missing

    def forfeit(self, challenger: int, asked_by: int, now_s: int) -> None:
        account = self.of(challenger)
        if not account.bond:
            raise Refused("NoCommitment")
        if now_s <= account.until_s and asked_by != challenger:
            raise Refused("StillOpen")
        self.treasury += account.bond
        self._clear(account)

    def reveal_blacklisted(
        self, challenger: int, announced: object, offer: SignedOffer, scope: bytes, now_s: int
    ) -> int:
        """Returns the amount that is slashed."""
        account = self._opened(challenger, announced, now_s)
        self._check_age(offer, now_s)
        operator = self._operator_of(offer, offer.timestamp_s)
        region, since_s = self._region_at(operator, offer.timestamp_s)
        if scope != EVERYWHERE and (region != scope or offer.timestamp_s < since_s + REGION_GRACE_S):
            raise Refused("OtherRegion")
        entry = self.blacklist.entries.get((offer.root, scope))
        if entry is None or not entry.counts(offer.timestamp_s):
            raise Refused("NotListedThen")
        return self._convict(account, operator, (offer.root, offer.timestamp_s // DAY_S), now_s)

    def reveal_equivocation(
        self, challenger: int, announced: object, earlier: SignedOffer, later: SignedOffer, now_s: int
    ) -> int:
        """Returns the amount that is slashed."""
        account = self._opened(challenger, announced, now_s)
        if earlier[1:3] != later[1:3] or earlier.block > later.block:
            raise Refused("NotComparable")
        if earlier.price == later.price:
            raise Refused("SamePrice")
        if later.block - earlier.block > self.rate_window:
            raise Refused("OutsideRateWindow")
        self._check_age(later, now_s)
        operator = self._operator_of(later, later.timestamp_s)
        if self._operator_of(earlier, later.timestamp_s) != operator:
            raise Refused("DifferentOperators")
        self._region_at(operator, later.timestamp_s)
        return self._convict(account, operator, later.timestamp_s // DAY_S, now_s)

    def withdraw(self, challenger: int) -> int:
        account = self.of(challenger)
        units, account.units = account.units, 0
        if not units:
            raise Refused("NothingToWithdraw")
        return units

    # --- inside ---

    def _retire(self, key: bytes, now_s: int) -> None:
        self.keys[key].retired_s = self.keys[key].retired_s or now_s

    def _opened(self, challenger: int, announced: object, now_s: int) -> Account:
        account = self.of(challenger)
        if not account.bond or account.announced != announced:
            raise Refused("NoCommitment")
        if now_s < account.from_s:
            raise Refused("TooEarly")
        if now_s > account.until_s:
            raise Refused("TooLate")
        return account

    def _operator_of(self, offer: SignedOffer, then_s: int) -> int:
        if offer.key is None:
            raise Refused("BadSignature")
        key = self.keys.get(offer.key)
        if key is None:
            raise Refused("UnknownHotKey")
        if key.retired_s and then_s >= key.retired_s:
            raise Refused("HotKeyRetired")
        return key.operator

    def _check_age(self, offer: SignedOffer, now_s: int) -> None:
        if now_s - offer.timestamp_s > self.age_s:
            raise Refused("EvidenceTooOld")

    def _region_at(self, operator: int, then_s: int) -> tuple[bytes, int]:
        known = [(region, since_s) for since_s, region in self.regions.get(operator, []) if since_s <= then_s]
        if not known:
            raise Refused("NotANodeThen")
        return known[-1]

    def _convict(self, account: Account, operator: int, offence: object, now_s: int) -> int:
        account.units += account.bond
        self._clear(account)
        stake, known = self.stakes.of(operator), self.offences.setdefault(operator, [])
        if stake.bonded + stake.unbonding == 0 or offence in known:
            return 0
        bps = LADDER_BPS[min(len(known), 2)]
        known.append(offence)
        amount = self.stakes.slash(operator, bps, now_s)
        self.retire_of_the_gone(now_s)
        reward = amount * self.reward_bps // 10_000
        account.units += reward
        self.treasury += amount - reward
        return amount

    @staticmethod
    def _clear(account: Account) -> None:
        account.bond = account.from_s = account.until_s = 0
        account.announced = None
