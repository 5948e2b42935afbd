"""What the accounts hold, in a plan: symbols that are held come first, and where it is wanted what is held and not
planned is planned too.

Pure. Called by state.py for each plan, with what the gateways say of positions and of contracts. IB's contract id says
which is which; until it is known of a planned symbol, its name does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from messages.errors import IbStreamError
from messages.events import HeldContract
from services.base.symbols import SEC_TYPES, WITH_STRIKE, Contract, parse
from services.planner.core import HELD, Answer, Candidate

REASON: Final = "held"
SHOWN: Final = 10  # contracts named in a warning
_ADDED: Final = 9.0  # behind what is planned for another reason too


def with_held(answer: Answer, held: Iterable[HeldContract], con_ids: Mapping[str, int], *, add: bool) -> Answer:
    """The answer with what is held before all else, the most important first; `add`: also what is not in it.

    `con_ids` are those that IB told of planned symbols, by name. What is held and cannot be planned is a warning.
    """
    positions = {one.con_id: one for one in held}
    if not positions:
        return answer
    by_name = {contract.name: con_id for con_id, one in positions.items() if (contract := contract_of(one)) is not None}
    found: list[Candidate] = []
    met: set[int] = set()
    for candidate in answer.candidates:
        name = candidate.contract.name
        con_id = candidate.contract.con_id or con_ids.get(name) or by_name.get(name, 0)
        if con_id in positions:
            met.add(con_id)
            importance, reason = (HELD, *candidate.importance), f"{REASON}; {candidate.reason}"
            candidate = msgspec.structs.replace(candidate, importance=importance, reason=reason)
        found.append(candidate)
    warnings = list(answer.warnings)
    if add:
        rest = [one for con_id, one in sorted(positions.items()) if con_id not in met]
        found += _added(rest, {candidate.contract.name for candidate in found}, warnings)
    found.sort(key=lambda one: (one.importance, one.contract.name))
    return msgspec.structs.replace(answer, candidates=tuple(found), warnings=tuple(warnings))


def _added(held: Sequence[HeldContract], taken: set[str], warnings: list[str]) -> Iterable[Candidate]:
    left_out: list[str] = []
    for one in held:
        contract = next((each for each in (contract_of(one), _by_id(one)) if each and each.name not in taken), None)
        if contract is None:
            left_out.append(f"{one.local_symbol or one.symbol} ({one.sec_type}, contract id {one.con_id})"[:80])
            continue
        taken.add(contract.name)
        yield Candidate(contract, REASON, (HELD, _ADDED))
    if left_out:
        more = f" and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
        warnings.append(f"held, and no symbol that is served: {', '.join(left_out[:SHOWN])}{more}")


def contract_of(held: HeldContract) -> Contract | None:
    """The contract under the name that a person would give it; None for one that is not served, or has no name."""
    if held.sec_type not in SEC_TYPES or not held.exchange:
        return None
    option = _us_option(held)
    if option is not None:
        return option
    try:
        contract = parse(_notation(held))
    except IbStreamError:
        return None
    us_stock = (contract.sec_type, contract.currency) == ("STK", "USD")
    return msgspec.structs.replace(contract, con_id=held.con_id, exchange="SMART" if us_stock else held.exchange)


def _us_option(held: HeldContract) -> Contract | None:
    """By its OCC symbol, which says all, as where a project names it."""
    if (held.sec_type, held.currency) != ("OPT", "USD"):
        return None
    try:
        contract = parse(held.local_symbol)
    except IbStreamError:
        return None
    return contract if contract.sec_type == "OPT" else None


def _notation(held: HeldContract) -> str:
    base = held.symbol.replace(" ", ".")
    where = f"{held.exchange}:{held.currency}:{held.sec_type}"
    if held.sec_type == "STK":
        return base if held.currency == "USD" else f"{base}:{held.exchange}:{held.currency}"
    if held.sec_type in WITH_STRIKE:
        kind = f":{held.trading_class}" if held.trading_class not in ("", held.symbol) else ""
        return f"{base}:{where}:{held.last_trade_date}:{held.strike:.5f}:{held.right}{kind}"
    if held.sec_type == "FUT":
        return f"{base}:{where}:{held.last_trade_date}"
    if held.sec_type == "BOND":
        return f"IBCID{held.con_id}:{where}"  # many have one symbol
    return f"{base}:{where}"


def _by_id(held: HeldContract) -> Contract | None:
    """Under a name that no other contract has: what it would be called is taken."""
    contract = contract_of(held)
    if contract is None:
        return None
    return msgspec.structs.replace(contract, name=f"IBCID{held.con_id}", con_id=held.con_id)
