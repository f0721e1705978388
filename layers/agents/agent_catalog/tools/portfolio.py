"""A share portfolio for demonstrations: the prices and the holdings are invented."""

from hashlib import sha256

from agent_catalog.session import Session
from agent_catalog.tools.errors import ToolInputError

_NOTE = "Demo data: invented, the same on every day."
_PRICES_USD = {
    "AAPL": 227.5,
    "AMZN": 201.25,
    "GOOGL": 176.4,
    "MSFT": 421.1,
    "NVDA": 138.65,
}


def get_portfolio(session: Session) -> dict[str, object]:
    """
    Show the cash and the shares that this conversation's demo portfolio holds, in USD.

    Each conversation has holdings of its own, and keeps them from turn to turn.
    """
    # Drawn from the session's id: nothing needs to be stored for them to stay the same.
    seed = sha256(f"{session.tenant}/{session.session_id}".encode()).digest()
    shares = {symbol: seed[index] % 40 for index, symbol in enumerate(_PRICES_USD)}
    positions = [
        {"symbol": symbol, "shares": count, "price": price, "value": round(count * price, 2)}
        for symbol, price in _PRICES_USD.items()
        if (count := shares[symbol])
    ]
    cash = 1_000.0 + seed[-1] * 50
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
    Give a share's demo price in USD.

    Args:
        symbol: The ticker symbol, such as AMZN.
    """
    name = symbol.strip().upper()
    if name not in _PRICES_USD:
        known = ", ".join(_PRICES_USD)
        raise ToolInputError(f"There is no demo price for '{symbol[:20]}'; there is: {known}.")
    return {"symbol": name, "price": _PRICES_USD[name], "currency": "USD", "note": _NOTE}
