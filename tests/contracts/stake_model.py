"""What the registry's stake and votes should be, written a second time and another way.

Nothing is packed, capped in size or optimised here: whole histories are lists, and every question about the past walks
them. Times are seconds, amounts units of the bond token. A refusal is `Refused` with the name of the contract's error.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

DAY_S = 86_400
TRANCHES_MAX = 16


class Refused(Exception):  # noqa: N818 - the contract's word for it is in the argument
    """The registry would not do this; the argument is the name of its error."""


def fifth_root(value: int) -> int:
    """floor(value ** (1/5)) by bisection."""
    low, high = 0, 1 << (value.bit_length() // 5 + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**5 <= value else (low, middle)
    return low


@dataclass
class Tranche:
    """Stake on its way out."""

    amount: int
    available_at: int


@dataclass
class Operator:
    """One operator, with everything its stake ever was: (from, bonded, since)."""

    registered: bool = False
    ejected: bool = False
    mbps: int = 0
    required: int = 0
    bonded: int = 0
    since: int = 0
    tranches: list[Tranche] = field(default_factory=list)
    history: list[tuple[int, int, int]] = field(default_factory=list)
    money: int = 10_000 * 10**6  # a test account's

    @property
    def unbonding(self) -> int:
        return sum(tranche.amount for tranche in self.tranches)

    @property
    def active(self) -> bool:
        return self.registered and self.bonded >= self.required


@dataclass
class StakeModel:
    """All operators and the rules in force, each rule as (from, value)."""

    factor: int = 250_000
    exponent_fifths: int = 6
    period_s: int = 14 * DAY_S
    ramps: list[tuple[int, int]] = field(default_factory=lambda: [(0, 180 * DAY_S)])
    caps: list[tuple[int, int]] = field(default_factory=lambda: [(0, 500)])
    operators: dict[int, Operator] = field(default_factory=dict)

    def of(self, who: int) -> Operator:
        return self.operators.setdefault(who, Operator())

    def bond_for(self, mbps: int) -> int:
        return fifth_root(self.factor**5 * mbps**self.exponent_fifths)

    # --- what operators do ---

    def register(self, who: int, mbps: int, now: int) -> None:
        operator = self.of(who)
        if operator.ejected:
            raise Refused("OperatorEjected")
        if operator.registered:
            raise Refused("AlreadyRegistered")
        required = self.bond_for(mbps)
        self._add(operator, required, now)
        operator.registered, operator.mbps, operator.required = True, mbps, required

    def update(self, who: int, mbps: int, now: int) -> None:
        operator = self._registered(who)
        if mbps == operator.mbps:
            return
        before, required = operator.required, self.bond_for(mbps)
        if operator.bonded < required:
            self._add(operator, required - operator.bonded, now)
        elif required < before and operator.bonded > required:
            self._start_unbonding(operator, operator.bonded - required, now)
        operator.mbps, operator.required = mbps, required

    def top_up(self, who: int, amount: int, now: int) -> None:
        operator = self._registered(who)
        if not amount:
            raise Refused("ZeroAmount")
        self._add(operator, amount, now)

    def unbond(self, who: int, amount: int, now: int) -> None:
        operator = self._registered(who)
        if not amount:
            raise Refused("ZeroAmount")
        required = min(operator.required, self.bond_for(operator.mbps))
        if operator.bonded - amount < required:
            raise Refused("BondTooLow")
        operator.required = required
        self._start_unbonding(operator, amount, now)

    def deregister(self, who: int, now: int) -> None:
        self._end(self._registered(who), now)

    def withdraw(self, who: int, now: int) -> None:
        operator = self.of(who)
        ripe = sum(tranche.amount for tranche in operator.tranches if tranche.available_at <= now)
        if not ripe:
            raise Refused("NothingToWithdraw")
        operator.tranches = [tranche for tranche in operator.tranches if tranche.available_at > now]
        operator.money += ripe

    # --- what is done to them ---

    def slash(self, who: int, bps: int, now: int) -> int:
        operator = self.of(who)
        amount = floor(Fraction((operator.bonded + operator.unbonding) * bps, 10_000))
        from_bonded = min(amount, operator.bonded)
        self._set(operator, operator.bonded - from_bonded, now, now)
        left = amount - from_bonded
        for tranche in reversed(operator.tranches):
            taken = min(left, tranche.amount)
            tranche.amount -= taken
            left -= taken
        operator.tranches = [tranche for tranche in operator.tranches if tranche.amount]
        if operator.registered and Fraction(operator.bonded) < Fraction(operator.required, 2):
            self._end(operator, now)
        return amount

    def eject(self, who: int, now: int) -> None:
        operator = self.of(who)
        if operator.ejected:
            raise Refused("OperatorEjected")
        operator.ejected = True
        if operator.registered:
            self._end(operator, now)

    def un_eject(self, who: int) -> None:
        operator = self.of(who)
        if not operator.ejected:
            raise Refused("NotEjected")
        operator.ejected = False

    # --- what can be asked ---

    def votes(self, who: int, at: int) -> int:
        """min(stake × age / ramp, total × cap), everything as it was at that time."""
        bonded, since = self._stake_at(self.of(who), at)
        ramp, cap = latest(self.ramps, at), latest(self.caps, at)
        aged = Fraction(bonded * min(at - since, ramp), ramp)
        return floor(min(aged, Fraction(self.total(at) * cap, 10_000)))

    def total(self, at: int) -> int:
        return sum(self._stake_at(operator, at)[0] for operator in self.operators.values())

    # --- inside ---

    def _registered(self, who: int) -> Operator:
        operator = self.of(who)
        if not operator.registered:
            raise Refused("NotRegistered")
        return operator

    def _add(self, operator: Operator, amount: int, now: int) -> None:
        """What the old stake's age is worth, at most the ramp, is spread over old and new."""
        if amount > operator.money:
            raise Refused("Error")  # the token's own word
        operator.money -= amount
        age = min(now - operator.since, latest(self.ramps, now))
        bonded = operator.bonded + amount
        since = floor(Fraction(operator.bonded * (now - age) + amount * now, bonded))
        self._set(operator, bonded, since, now)

    def _start_unbonding(self, operator: Operator, amount: int, now: int) -> None:
        self._set(operator, operator.bonded - amount, operator.since, now)
        at = max([now + self.period_s, *(tranche.available_at for tranche in operator.tranches)])
        newest = operator.tranches[-1] if operator.tranches else None
        if newest and (newest.available_at == at or len(operator.tranches) == TRANCHES_MAX):
            newest.amount += amount
            newest.available_at = at
        else:
            operator.tranches.append(Tranche(amount, at))

    def _end(self, operator: Operator, now: int) -> None:
        operator.registered = False
        if operator.bonded:
            self._start_unbonding(operator, operator.bonded, now)

    def _set(self, operator: Operator, bonded: int, since: int, now: int) -> None:
        operator.bonded, operator.since = bonded, since
        operator.history.append((now, bonded, since))

    @staticmethod
    def _stake_at(operator: Operator, at: int) -> tuple[int, int]:
        known = [(bonded, since) for from_, bonded, since in operator.history if from_ <= at]
        return known[-1] if known else (0, at)


def latest(rules: list[tuple[int, int]], at: int) -> int:
    """The value of the last rule that was in force at that time."""
    return [value for from_, value in rules if from_ <= at][-1]
