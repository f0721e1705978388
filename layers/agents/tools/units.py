"""Conversion between units of measurement."""

import math
import re
from functools import cache
from typing import TYPE_CHECKING

from agent_catalog.toolkit import ToolInputError

if TYPE_CHECKING:
    from pint import UnitRegistry

# Long powers, and powers of powers, would keep the parser busy.
_UNIT = re.compile(r"(?!.*\d{3})(?!.*(\^|\*\*).*(\^|\*\*).*(\^|\*\*))[\w°%µΩ·²³ /*^.-]{1,60}")


def convert_units(value: float, from_unit: str, to_unit: str) -> dict[str, float | str]:
    """
    Convert a quantity from one unit of measurement to another.

    Args:
        value: How many of `from_unit`.
        from_unit: A unit by name or symbol, such as mile, km/h, kWh or fahrenheit.
        to_unit: The unit to convert to, of the same dimension.
    """
    # Imported here: it takes longer than all other tools together, and few runs need it.
    from pint import DimensionalityError, PintError  # noqa: PLC0415

    for unit in (from_unit, to_unit):
        if not _UNIT.fullmatch(unit):
            raise ToolInputError(f"'{unit[:60]}' is not a unit.")
    registry = _registry()
    try:
        result = registry.Quantity(value, from_unit).to(to_unit)
        magnitude, unit = float(result.magnitude), str(result.units)
    except DimensionalityError as error:
        raise ToolInputError(f"'{from_unit}' cannot be converted to '{to_unit}'.") from error
    except (PintError, AttributeError, ArithmeticError, ValueError, TypeError) as error:
        raise ToolInputError(f"'{from_unit}' or '{to_unit}' is not a unit that I know.") from error
    if not math.isfinite(magnitude):
        raise ToolInputError("The result is too large.")
    # Twelve digits: the rest is rounding error, as in 67.99999999999993.
    return {"value": float(f"{magnitude:.12g}"), "unit": unit}


@cache
def _registry() -> "UnitRegistry[float]":
    from pint import UnitRegistry  # noqa: PLC0415 - as above

    return UnitRegistry(autoconvert_offset_to_baseunit=True)
