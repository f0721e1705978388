"""Arithmetic on calendar dates."""

from datetime import date
from typing import Literal

from dateutil.relativedelta import relativedelta

from agent_catalog.toolkit import ToolInputError


def shift_date(start: str, amount: int, unit: Literal["days", "weeks", "months", "years"]) -> str:
    """
    Return the date that lies a number of days, weeks, months or years after another.

    Args:
        start: A date as YYYY-MM-DD.
        amount: How many units later; negative for earlier.
        unit: What is counted. A month later than the 31st is the last day of a shorter month.
    """
    begin = _date(start)
    try:
        match unit:
            case "days":
                shifted = begin + relativedelta(days=amount)
            case "weeks":
                shifted = begin + relativedelta(weeks=amount)
            case "months":
                shifted = begin + relativedelta(months=amount)
            case "years":
                shifted = begin + relativedelta(years=amount)
    except (OverflowError, ValueError) as error:
        raise ToolInputError("The result lies outside the years 1 to 9999.") from error
    return shifted.isoformat()


def days_between(start: str, end: str) -> int:
    """
    Count the days from one date to another; negative when the second is the earlier one.

    Args:
        start: A date as YYYY-MM-DD.
        end: A date as YYYY-MM-DD.
    """
    return (_date(end) - _date(start)).days


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ToolInputError(f"'{text[:40]}' is not a date of the form YYYY-MM-DD.") from error
