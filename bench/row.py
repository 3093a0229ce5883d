"""One measured figure, and whether it reaches its goal."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """`value` in `unit`; `rival` names what `rival_value` (same unit) was measured on in the same run, or is empty.

    The goal is a ratio where there is a rival, else a bound on the value. `lower_is_better` turns the comparison round.
    """

    name: str
    value: float
    unit: str
    goal: float
    rival: str = ""
    rival_value: float | None = None
    lower_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        return None if not self.rival_value else self.value / self.rival_value

    @property
    def ok(self) -> bool:
        measured = self.value if self.ratio is None else self.ratio
        return measured <= self.goal if self.lower_is_better else measured >= self.goal

    def as_json(self) -> dict[str, Any]:
        fields = asdict(self)
        return fields | {"ratio": self.ratio, "ok": self.ok}

    def line(self) -> str:
        return "  ".join(cell for cell in self.cells() if cell)

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """what, value, rival, ratio, goal, verdict; as text."""
        rival = f"{self.rival}: {_number(self.rival_value)} {self.unit}" if self.rival_value is not None else ""
        ratio = f"{self.ratio:.2f}" if self.ratio is not None else ""
        bound = ("≤ " if self.lower_is_better else "≥ ") + _number(self.goal)
        goal = bound if self.ratio is not None else f"{bound} {self.unit}"
        return self.name, f"{_number(self.value)} {self.unit}", rival, ratio, goal, "ok" if self.ok else "MISSED"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
