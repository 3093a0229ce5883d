"""Parts in whole units, so that the rows of a table add up to its total."""

from collections.abc import Sequence

from nearcast.payments.credit import PART_BITS, whole_units


def rounded_units(parts: Sequence[int]) -> list[int]:
    """Each in whole units; together exactly the sum of the parts, rounded down.

    Every row is rounded down, and the units that are missing go to the rows that lost most by it (largest remainder).
    """
    units = [whole_units(each) for each in parts]
    missing_units = whole_units(sum(parts)) - sum(units)
    by_loss = sorted(range(len(parts)), key=lambda index: (-(parts[index] & ((1 << PART_BITS) - 1)), index))
    for index in by_loss[:missing_units]:
        units[index] += 1
    return units
