"""The agents' tools."""

import json
import operator
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from agent_catalog.toolkit import Session, ToolInputError, ToolResults
from tools.calculator import calculate
from tools.dates import days_between, shift_date
from tools.portfolio import get_portfolio, get_quote, place_order
from tools.units import convert_units

ROOT = Path(__file__).resolve().parents[3]
BUY = re.compile(r"[Bb]uy (\d+) shares? of ([A-Z]+)")


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("17 * 23", 391),
        ("2^10", 1024),
        ("-(3 - 5) * 2.5", 5.0),
        ("7 // 2 + 7 % 2", 4),
        ("0.1 + 0.2", 0.3),
        ("6 \N{MULTIPLICATION SIGN} 7 \N{DIVISION SIGN} 2", 21.0),
        ("sqrt(16) + max(1, 2)", 6.0),
        ("round(2.567, 2)", 2.57),
        ("round(pi)", 3),
        ("2**-2", 0.25),
        ("10**300", 10**300),
    ],
)
def test_the_calculator_works_out(expression: str, result: float) -> None:
    assert calculate(expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        *("9**9**9**9", "10**1000 * 10**1000", "1e308 * 10", "round(5, -10**9)", "exp(1000)"),
        *("f'{1:>999999999}'", "'a' * 999999999", "'a' % 3", "(" * 300, "-" * 490 + "x"),
        *("(-1)**0.5", "1 / 0", "log(0)", "1j", "1 if 1 else 2", "[1][0]", "True", "(1).real"),
        *("__import__('os')", "", "1 +", "1\x00", "1" * 501),
    ],
)
def test_the_calculator_refuses(expression: str) -> None:
    with pytest.raises(ToolInputError):
        calculate(expression)


@given(st.text(alphabet="0123456789+-*/%^(). e,sqrtmaxlogpi", max_size=60))
def test_the_calculator_answers_or_refuses_whatever_it_is_given(expression: str) -> None:
    try:
        result = calculate(expression)
    except ToolInputError as refusal:
        assert str(refusal)  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(result, int | float)


@given(
    left=st.integers(0, 10**9),
    right=st.integers(1, 10**9),
    sign=st.sampled_from(["+", "-", "*", "//", "%"]),
)
def test_the_calculator_is_exact_with_integers(left: int, right: int, sign: str) -> None:
    functions = {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "//": operator.floordiv,
        "%": operator.mod,
    }
    assert calculate(f"{left} {sign} {right}") == functions[sign](left, right)


@pytest.mark.parametrize(
    ("value", "from_unit", "to_unit", "result"),
    [
        (5, "mile", "km", 8.04672),
        (100, "fahrenheit", "celsius", 37.7777777778),
        (20, "°C", "°F", 68.0),
        (90, "km/h", "m/s", 25.0),
        (1, "kWh", "J", 3_600_000.0),
        (2, "m^2", "cm**2", 20_000.0),
    ],
)
def test_units_are_converted(value: float, from_unit: str, to_unit: str, result: float) -> None:
    assert convert_units(value, from_unit, to_unit)["value"] == result


@pytest.mark.parametrize(
    ("from_unit", "to_unit"),
    [
        *(("meter", "second"), ("foo", "m"), ("", "m"), ("m**99**99**99", "m"), ("3 m", "m")),
        *(("m**999999999", "m"), ("__class__", "m"), ("m" * 61, "m")),
    ],
)
def test_units_that_do_not_fit_are_refused(from_unit: str, to_unit: str) -> None:
    with pytest.raises(ToolInputError):
        convert_units(1, from_unit, to_unit)


def test_a_conversion_that_overflows_is_refused() -> None:
    with pytest.raises(ToolInputError, match="too large"):
        convert_units(1e308, "km", "nm")


def test_dates_are_shifted_and_days_counted_over_leap_years_and_backwards() -> None:
    assert shift_date("2026-01-31", 1, "months") == "2026-02-28"
    assert shift_date("2024-02-29", 1, "years") == "2025-02-28"
    assert shift_date("2026-01-01", -1, "days") == "2025-12-31"
    assert shift_date("2026-01-01", 2, "weeks") == "2026-01-15"
    assert days_between("2024-01-01", "2024-03-01") == 60
    assert days_between("2024-03-01", "2024-01-01") == -60


@pytest.mark.parametrize("amount", [10_000, -10_000, 10**30])
def test_dates_outside_the_calendar_are_refused(amount: int) -> None:
    with pytest.raises(ToolInputError):
        shift_date("2026-01-01", amount, "years")


@pytest.mark.parametrize("text", ["tomorrow", "2026-02-30", "01/02/2026", ""])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ToolInputError, match="YYYY-MM-DD"):
        days_between(text, "2026-01-01")


def session(session_id: str, tenant: str = "acme") -> Session:
    return Session(tenant=tenant, user_id="ana", session_id=session_id)


def test_a_portfolio_belongs_to_its_session_and_stays_the_same() -> None:
    assert get_portfolio(session("one")) == get_portfolio(session("one"))
    assert get_portfolio(session("one")) != get_portfolio(session("two"))
    assert get_portfolio(session("one")) != get_portfolio(session("one", tenant="umbrella"))


def test_every_conversation_can_pay_the_orders_that_the_documentation_shows() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {
        (int(shares), symbol)
        for page in pages
        for shares, symbol in BUY.findall(page.read_text(encoding="utf-8"))
    }
    assert (10, "AMZN") in shown
    # A session's cash depends on one byte of a hash: a thousand sessions have all of them.
    for number in range(1_000):
        for shares, symbol in shown:
            place_order(session(str(number)), symbol, "buy", shares)


@settings(max_examples=30)
@given(st.uuids())
def test_a_portfolio_adds_up(session_id: object) -> None:
    portfolio = get_portfolio(session(str(session_id)))
    positions, cash = portfolio["positions"], portfolio["cash"]
    assert isinstance(positions, list)
    assert isinstance(cash, float)
    assert portfolio["total"] == round(cash + sum(item["value"] for item in positions), 2)
    assert "Demo data" in str(portfolio["note"])


def test_quotes_are_demo_prices_of_known_shares() -> None:
    quote = get_quote(" amzn ")
    assert (quote["symbol"], quote["price"]) == ("AMZN", 201.25)
    assert "Demo data" in str(quote["note"])
    with pytest.raises(ToolInputError, match="AMZN"):
        get_quote("NOPE")


def with_orders(*orders: tuple[str, str, int]) -> Session:
    """Return a session in which these orders have been placed one after the other."""
    trading = session("one")
    for side, symbol, shares in orders:
        order = place_order(trading, symbol, side, shares)  # type: ignore[arg-type] # as it is
        trading.results.add("place_order", to_json(order))
    return trading


def test_orders_move_cash_and_shares_and_leave_the_total() -> None:
    before = get_portfolio(session("one"))
    after = get_portfolio(with_orders(("buy", "NVDA", 3), ("sell", "NVDA", 1)))
    assert after["total"] == before["total"]
    assert after["cash"] == round(float(str(before["cash"])) - 2 * 138.65, 2)


def test_an_order_says_what_it_was_and_what_is_left() -> None:
    order = place_order(session("one"), "NVDA", "buy", 2)
    cash = float(str(get_portfolio(session("one"))["cash"]))
    assert (order["value"], order["cash"]) == (277.3, round(cash - 277.3, 2))
    assert "Demo data" in str(order["note"])


def test_what_cannot_be_paid_or_is_not_there_is_not_ordered() -> None:
    with pytest.raises(ToolInputError, match="in cash"):
        place_order(session("one"), "MSFT", "buy", 1_000)
    with pytest.raises(ToolInputError, match="to sell, not 41"):
        place_order(session("one"), "MSFT", "sell", 41)


def test_earlier_orders_count_whether_or_not_they_are_of_this_turn() -> None:
    order = place_order(session("one"), "NVDA", "buy", 2)
    loaded = Session(
        "acme",
        "ana",
        "one",
        results=ToolResults(lambda: [("get_quote", 1), ("place_order", to_json(order))]),
    )
    assert get_portfolio(loaded) == get_portfolio(with_orders(("buy", "NVDA", 2)))


def to_json(value: object) -> JsonValue:
    result: JsonValue = json.loads(json.dumps(value))
    return result


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["buy", "sell"]),
            st.sampled_from(["AAPL", "AMZN", "MSFT"]),
            st.integers(1, 30),
        ),
        max_size=12,
    )
)
def test_no_order_makes_cash_or_shares_negative(orders: list[tuple[str, str, int]]) -> None:
    trading = session("one")
    total = get_portfolio(trading)["total"]
    for side, symbol, shares in orders:
        try:
            order = place_order(trading, symbol, side, shares)  # type: ignore[arg-type] # as above
        except ToolInputError:
            continue
        trading.results.add("place_order", to_json(order))
        portfolio = get_portfolio(trading)
        assert portfolio["cash"] == order["cash"]
        assert float(str(portfolio["cash"])) >= 0
        assert isinstance(portfolio["positions"], list)
        assert all(position["shares"] > 0 for position in portfolio["positions"])
        assert portfolio["total"] == total
