"""A share portfolio for demonstrations: prices, holdings and orders are invented."""

from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import Field

from agent_catalog.toolkit import Session, ToolInputError

_NOTE = "Demo data: invented, the same on every day."
_PRICES_USD = {
    "AAPL": 227.5,
    "AMZN": 201.25,
    "GOOGL": 176.4,
    "MSFT": 421.1,
    "NVDA": 138.65,
}
_LEAST_CASH_USD = 10_000.0
"""Enough for every order that the documentation shows."""
Symbol = Literal["AAPL", "AMZN", "GOOGL", "MSFT", "NVDA"]


def get_portfolio(session: Session) -> dict[str, object]:
    """
    Show the cash and the shares that this conversation's demo portfolio holds, in USD.

    Each conversation has holdings of its own, and keeps them from turn to turn.
    """
    cash, shares = _holdings(session)
    positions = [
        {"symbol": symbol, "shares": count, "price": price, "value": round(count * price, 2)}
        for symbol, price in _PRICES_USD.items()
        if (count := shares[symbol])
    ]
    total = cash + sum(shares[symbol] * price for symbol, price in _PRICES_USD.items())
    return {
        "currency": "USD",
        "cash": cash,
        "positions": positions,
        "total": round(total, 2),
        "note": _NOTE,
    }


def get_quote(symbol: str) -> dict[str, object]:
    """
    Return a share's demo price in USD.

    Args:
        symbol: The ticker symbol, such as AMZN.
    """
    name = symbol.strip().upper()
    if name not in _PRICES_USD:
        known = ", ".join(_PRICES_USD)
        raise ToolInputError(f"There is no demo price for '{symbol[:20]}'; there is: {known}.")
    return {"symbol": name, "price": _PRICES_USD[name], "currency": "USD", "note": _NOTE}


def place_order(
    session: Session,
    symbol: Symbol,
    side: Literal["buy", "sell"],
    shares: Annotated[int, Field(ge=1, le=1_000_000)],
) -> dict[str, object]:
    """
    Buy or sell shares of this conversation's demo portfolio, at the demo price.

    Args:
        symbol: The ticker symbol.
        side: Whether to buy or to sell.
        shares: How many.
    """
    cash, held = _holdings(session)
    price = _PRICES_USD[symbol]
    value = round(shares * price, 2)
    if side == "buy" and value > cash:
        raise ToolInputError(
            f"{shares} {symbol} cost {value:.2f} USD, and there are {cash:.2f} USD in cash."
        )
    if side == "sell" and shares > held[symbol]:
        raise ToolInputError(f"There are {held[symbol]} {symbol} to sell, not {shares}.")
    return {
        "symbol": symbol,
        "side": side,
        "shares": shares,
        "price": price,
        "value": value,
        "cash": round(cash - value if side == "buy" else cash + value, 2),
        "currency": "USD",
        "note": _NOTE,
    }


def _holdings(session: Session) -> tuple[float, dict[str, int]]:
    """Return the cash and shares that the session began with, changed by its orders since."""
    # Derived from the session's id, so that nothing needs to be stored.
    seed = sha256(f"{session.tenant}/{session.session_id}".encode()).digest()
    shares = {symbol: seed[index] % 40 for index, symbol in enumerate(_PRICES_USD)}
    cash = _LEAST_CASH_USD + seed[-1] * 50
    for order in _orders(session):
        bought = order["shares"] if order["side"] == "buy" else -order["shares"]
        shares[order["symbol"]] += bought
        cash -= bought * order["price"]
    return round(cash, 2), shares


def _orders(session: Session) -> list[dict[str, Any]]:
    return [order for order in session.results.of("place_order") if isinstance(order, dict)]
