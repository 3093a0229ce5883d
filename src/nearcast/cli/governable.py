"""Every number that governance may change, found by the one convention all contracts keep.

`setX(value)` sets what `x()` reads, between the constants `X_MIN` and `X_MAX`. The timelock's own delay is the
exception: OpenZeppelin named it.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast.cli.dry_run import ProposedCall
from nearcast.cli.moments import duration_text, parse_duration_s
from nearcast.cli.money import usdc_text
from nearcast.errors import UsageError

if TYPE_CHECKING:
    from nearcast.cli.chain_session import Session

_CONTRACTS = ("Registry", "Blacklist", "Court", "NearcastGovernor")
_SECONDS = re.compile(r"(Period|Window|Lapse|Delay|Ramp|Age|Extension)$")
_UNITS = ("bondFactor", "challengeBond")


@dataclass(frozen=True)
class Parameter:
    """One number and where it lives. `getter` has no argument, `setter` one."""

    contract: str
    name: str
    setter: str
    getter: str
    bounds: str  # what the constants begin with

    def call(self, value: int) -> ProposedCall:
        """What governance would call to set it."""
        return ProposedCall(self.contract, self.setter, (value,))

    def text(self, value: int) -> str:
        """The value as people read it."""
        if _SECONDS.search(self.name):
            return duration_text(value)
        if self.name.endswith("Bps"):
            return f"{value / 100:g} %"
        return usdc_text(value) if self.name in _UNITS else f"{value:,}"

    def parse(self, text: str) -> int:
        """A number, or a duration for what is one. UsageError."""
        if _SECONDS.search(self.name):
            return parse_duration_s(text, self.name)
        if not re.fullmatch("[0-9]{1,30}", text):
            raise UsageError(f"{self.name} is a whole number, not {text!r}")
        return int(text)


def parameters() -> list[Parameter]:
    """All of them, by contract."""
    from nearcast.chain.abi import contract

    found = []
    for name in _CONTRACTS:
        functions = {entry.name for entry in contract(name).functions.values()}
        for setter in sorted(functions):
            getter = setter[3:4].lower() + setter[4:]
            constant = re.sub(r"(?<!^)(?=[A-Z])", "_", getter).upper()
            if setter.startswith("set") and getter in functions and f"{constant}_MAX" in functions:
                found.append(Parameter(name, getter, setter, getter, constant))
    return [*found, Parameter("NearcastTimelock", "minDelay", "updateDelay", "getMinDelay", "MIN_DELAY")]


def find_parameter(name: str) -> Parameter:
    """By `Contract.name` or, since they differ, by the name alone. UsageError."""
    for parameter in parameters():
        if name in (parameter.name, f"{parameter.contract}.{parameter.name}"):
            return parameter
    raise UsageError(f"governance sets nothing called {name!r}", fix="nearcast govern params lists what it sets")


async def bounds_of(session: "Session", parameter: Parameter) -> tuple[int, int]:
    """The least and the most that the contract takes."""
    low = await session.read(parameter.contract, f"{parameter.bounds}_MIN")
    high = await session.read(parameter.contract, f"{parameter.bounds}_MAX")
    return low, high


async def check_bounds(session: "Session", parameter: Parameter, value: int) -> None:
    """UsageError for what the contract would refuse when the vote is long over."""
    low, high = await bounds_of(session, parameter)
    if not low <= value <= high:
        bounds = f"{parameter.text(low)} to {parameter.text(high)}"
        raise UsageError(f"{parameter.name} can be {bounds}, not {parameter.text(value)}", fix="nearcast govern params")
