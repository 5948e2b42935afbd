"""Option chains in a plan: from a line of the configuration, what IB lists and the underlying's price to candidates.

Pure. Called by the service with what was read, and by state.py for each plan: the options of a chain come behind
everything that is named, and share the limit on lines with it.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from messages.control import Start
from messages.errors import IbStreamError
from messages.events import OptionClass, OptionsListed, PlannedChain
from services.base import generic_ticks
from services.base.symbols import Contract, occ_symbol, parse
from services.planner.config import ProjectConfig
from services.planner.core import OPTIONS, Answer, Candidate, Sources, derive

UNDERLYINGS: Final = ("STK", "IND", "FUT")
MOST_STRIKES: Final = 100
MOST_EXPIRIES: Final = 50
EXPECTED: Final = "expected such as `5 strikes, 3 expiries` or `7 strikes, 2 expiries, calls`"
_STRIKES = re.compile(r"\b(\d{1,4}) strikes?\b")
_EXPIRIES = re.compile(r"\b(\d{1,4}) expir(?:y|ies|ations?)\b")
_RIGHTS: Final = {"calls": "C", "puts": "P"}


def parse_chain(underlying: str, text: str) -> PlannedChain:
    """`5 strikes around the price, next 3 expiries[, calls | puts][, generic ticks 100,101]`. Raises IbStreamError
    `invalid_request`."""
    under = parse(underlying)
    if under.sec_type not in UNDERLYINGS:
        why = f"{under.sec_type} has no chain that is served; expected a stock, an index or a future"
        raise IbStreamError("invalid_request", f"options of {underlying}: {why}")
    if under.sec_type == "FUT" and under.local_symbol:
        why = "a future with a chain is named by its month, as ES:CME:USD:FUT:202612, or front or second"
        raise IbStreamError("invalid_request", f"options of {underlying}: {why}")
    words, _, ticks = text.lower().partition("generic ticks")
    strikes, expiries = _STRIKES.search(words), _EXPIRIES.search(words)
    if strikes is None or expiries is None:
        raise IbStreamError("invalid_request", f"options of {underlying}: {text[:60]!r}; {EXPECTED}")
    chain = PlannedChain(
        under.name,
        int(strikes[1]),
        int(expiries[1]),
        "".join(right for word, right in _RIGHTS.items() if re.search(rf"\b{word}\b", words)) or "CP",
        generic_ticks.written(generic_ticks.parse(ticks.strip(" :")) if ticks else ()),
    )
    if not (0 < chain.strikes <= MOST_STRIKES and 0 < chain.expiries <= MOST_EXPIRIES):
        most = f"at most {MOST_STRIKES} strikes and {MOST_EXPIRIES} expiries, and at least one of each"
        raise IbStreamError("invalid_request", f"options of {underlying}: {text[:60]!r}; expected {most}")
    return chain


def derive_all(request: Start, sources: Sources, *, adds_held: bool = False) -> Answer:
    """As core.derive does, with the chains of the configuration. A line that cannot be read is a warning; a start that
    names its symbols has none. Raises what `derive` does."""
    config = sources.project.config if sources.project is not None else ProjectConfig()
    chains: dict[str, PlannedChain] = {}
    warnings = []
    for underlying, line in config.options.items() if request.symbols is None else ():
        try:
            chain = parse_chain(underlying, line)
        except IbStreamError as error:
            warnings.append(error.message)
        else:
            chains[chain.underlying] = chain
    found = derive(request, sources, list(chains.values()), adds_held=adds_held)
    return msgspec.structs.replace(found, warnings=(*found.warnings, *warnings))


def with_chains(
    answer: Answer,
    listed: Mapping[str, OptionsListed],
    centres: Mapping[str, float],
    today: str,
    missing: Collection[str] = (),
) -> Answer:
    """The answer with the options of its chains, as far as the gateway has told what there is. `today` is YYYYMMDD;
    `missing` are options that IB does not know: it tells one list of strikes for all expiries."""
    if not answer.chains:
        return answer
    found, waiting = list(answer.candidates), []
    known = {candidate.contract.name: candidate.contract for candidate in answer.candidates}
    for position, chain in enumerate(answer.chains):
        underlying, options = known.get(chain.underlying), listed.get(chain.underlying)
        centre = centres.get(chain.underlying)
        if underlying is None or options is None or not centre:
            waiting.append(chain.underlying)
            continue
        for candidate in _candidates(chain, position, underlying, options, centre, today, missing):
            if candidate.contract.name not in known:
                known[candidate.contract.name] = candidate.contract
                found.append(candidate)
    warnings = answer.warnings
    if waiting:
        warnings = (*warnings, f"options of {', '.join(waiting)}: what IB lists, or the price, is not known yet")
    return msgspec.structs.replace(answer, candidates=tuple(found), warnings=warnings)


def is_option(name: str) -> bool:
    """Whether a planned symbol's name is an option's."""
    try:
        return parse(name).sec_type in ("OPT", "FOP")
    except IbStreamError:
        return False


def _candidates(
    chain: PlannedChain, position: int, underlying: Contract, listed: OptionsListed, centre: float, today: str,
    missing: Collection[str],
) -> Iterator[Candidate]:  # fmt: skip
    """The nearest expiry first, and in it the strike nearest to the price."""
    for number, (expiry, kind) in enumerate(_expiries(listed.classes, today)[: chain.expiries]):
        rank = 0
        for strike in sorted(kind.strikes, key=lambda strike: (abs(strike - centre), strike)):
            made = [
                _contract(underlying, listed.exchange, kind.trading_class, expiry, strike, right)
                for right in chain.rights
            ]
            there = [contract for contract in made if contract.name not in missing]
            for contract in there:
                importance = (OPTIONS, position, number, rank, contract.right == "P")
                reason = f"options of {chain.underlying}"
                yield Candidate(contract, reason, importance, chain.generic_ticks, chain.underlying)
            rank += bool(there)
            if rank == chain.strikes:
                break


def _expiries(classes: Sequence[OptionClass], today: str) -> list[tuple[str, OptionClass]]:
    """Days from today on, each with the first class that has it: the underlying's own name before others."""
    days: dict[str, OptionClass] = {}
    for kind in classes:
        for day in kind.expirations:
            if day >= today:
                days.setdefault(day, kind)
    return sorted(days.items(), key=lambda item: item[0])


def _contract(
    underlying: Contract, exchange: str, trading_class: str, expiry: str, strike: float, right: str
) -> Contract:
    on_future = underlying.sec_type == "FUT"
    if (exchange, underlying.currency) == ("SMART", "USD") and not on_future:
        return parse(occ_symbol(trading_class, expiry, strike, right))
    base = underlying.ib_symbol.replace(" ", ".")
    kind = "FOP" if on_future else "OPT"
    return parse(f"{base}:{exchange}:{underlying.currency}:{kind}:{expiry}:{strike:.5f}:{right}:{trading_class}")
