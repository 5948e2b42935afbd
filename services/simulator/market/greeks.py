"""What an option is worth, and how that changes: Black and Scholes, without interest and dividends. Pure."""

import math
from typing import NamedTuple


class Worth(NamedTuple):
    """An option's price and greeks as IB's model tick gives them: volatility a year, vega for a point of volatility,
    theta for a day; `under` is the underlying's price."""

    price: float
    volatility: float
    delta: float
    gamma: float
    vega: float
    theta: float
    under: float


def worth(under: float, strike: float, is_call: bool, volatility: float, years: float) -> Worth:
    """Of an option that ends in so many years; from its end on, what exercising it would bring."""
    sign = 1 if is_call else -1
    inside = max(0.0, sign * (under - strike))
    if years <= 0:
        return Worth(inside, volatility, float(sign) if inside else 0.0, 0.0, 0.0, 0.0, under)
    width = volatility * math.sqrt(years)
    first = (math.log(under / strike) + width * width / 2) / width
    value = sign * (under * _normal(sign * first) - strike * _normal(sign * (first - width)))
    density = math.exp(-first * first / 2) / math.sqrt(2 * math.pi)
    return Worth(
        price=max(inside, value),
        volatility=volatility,
        delta=sign * _normal(sign * first),
        gamma=density / (under * width),
        vega=under * density * math.sqrt(years) / 100,
        theta=-under * density * volatility / (2 * math.sqrt(years)) / 365,
        under=under,
    )


def _normal(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))
