"""A future that rolls, from the user's plan to the file: real processes on the simulator, old protocol and today's."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ibstream
from messages.control import RefreshPlan
from messages.events import ContractQualified, ContractRolled, MonthsTraded
from services.simulator.market.listed import usual
from services.simulator.market.prices import Walk
from tests.process.pipeline import ALL, Pipeline
from tests.process.user_database import UserDatabase
from tests.support import eventually

LINE, NAME = "ES:CME:USD:FUT:front", "ES_CME_USD_FUT_FRONT"


@pytest.mark.parametrize("version", [226, 176])
def test_a_future_rolls_by_the_users_rule_and_its_file_keeps_its_name(
    pipeline: Callable[..., Pipeline], tmp_path: Path, version: int
) -> None:
    user = UserDatabase("sqlite", None, tmp_path)
    user.project()
    user.config({"symbols": ["SPY", LINE], "contracts": {LINE: {"roll_days": 0}}})
    running = pipeline(ALL, start=False, database_url=user.url, project_id=1)
    running.arguments["simulator"] += ["--server-version", str(version)]

    def current(after: str = "") -> Any:
        """What the file says of a month later than `after`, once its price is current."""

        def probe() -> Any:
            quote = running.quote(NAME)
            whole = quote is not None and not quote["stale"] and "last" in quote and quote["contract_month"] > after
            return quote if whole else None

        return eventually(probe, 40.0)

    with running:
        running.await_status("connected")
        before = current()
        events = running.link_events()
        (known,) = [each for each in events if isinstance(each, ContractQualified) and each.symbol == NAME]
        assert (before["local_symbol"], before["contract_month"]) == (known.local_symbol, known.last_trade_date[:6])
        assert (before["symbol"], before["multiplier"]) == (NAME, 50)

        last = datetime.strptime(known.last_trade_date[:8], "%Y%m%d").replace(tzinfo=UTC)
        days = (last - datetime.now(UTC)).days + 2
        user.config({"symbols": ["SPY", LINE], "contracts": {LINE: {"roll_days": days}}}, "2026-01-06 09:00:00")
        running.ask(RefreshPlan())
        after = current(after=known.contract_month)
        (rolled,) = [each for each in running.link_events() if isinstance(each, ContractRolled)]
        assert (rolled.symbol, rolled.old_con_id, rolled.roll_days) == (NAME, known.con_id, days)
        assert (rolled.local_symbol, rolled.contract_month) == (after["local_symbol"], after["contract_month"])
        _told_everywhere(running, rolled)
        _told_of_the_past(running, rolled)
        assert after["since"] > before["since"]  # nothing in it was asked for before the roll
        listed = {one.con_id: one for one in usual(datetime.now(UTC).date())}
        fair = Walk(1, listed[rolled.con_id]).at(time.time_ns())
        assert after["last"] == pytest.approx(fair, abs=5)
        months = f"{rolled.old_local_symbol} {rolled.local_symbol}"
        lines = eventually(lambda: running.cli("candles", LINE, "--interval", "1h", "--json").stdout.splitlines(), 40.0)
        seams = [candle["rolled"] for candle in map(json.loads, lines) if "rolled" in candle]
        assert seams == [months]
        shown = " ".join(running.cli("candles", LINE, "--interval", "1h").stdout.split())
        assert f"rolled: {months.replace(' ', ' to ')}" in shown


def _told_everywhere(running: Pipeline, rolled: ContractRolled) -> None:
    """The month of a current price: in topic `quote.*`, over HTTP, and in the status."""
    new = (rolled.local_symbol, rolled.contract_month)
    with ibstream.connect(f"http://127.0.0.1:{running.web_port}") as client:
        found = eventually(lambda: _price(client), 20.0)
        assert (found.local_symbol, found.contract_month) == new
    with ibstream.connect(running.data) as client:
        found = next(quote for quote in client.quotes(NAME) if not quote.stale)
        assert (found.local_symbol, found.contract_month) == new
    running.restart("gateway")  # which knows the month, and does not tell it again
    status = running.await_status("connected")
    assert (status.symbols[NAME].local_symbol, status.symbols[NAME].contract_month) == new
    assert status.symbols["SPY"].contract_month is msgspec.UNSET


def _told_of_the_past(running: Pipeline, rolled: ContractRolled) -> None:
    """`ibstream at` and data frames say which month each quote is of, and none at the seam has prices of both."""
    old, new = (rolled.old_local_symbol, rolled.old_contract_month), (rolled.local_symbol, rolled.contract_month)
    data = ibstream.open_data(running.data)
    columns = ["time", "local_symbol", "contract_month", "last", "stale"]
    rows = data.quotes(NAME).read_all().select(columns).to_pylist()
    months = [key for key, _ in groupby((row["local_symbol"], row["contract_month"]) for row in rows)]
    assert [month for month in months if month != (None, None)] == [old, new]
    first = next(place for place, row in enumerate(rows) if row["local_symbol"] == new[0])
    assert rows[first]["stale"] and rows[first]["last"] is None
    for row, month in ((rows[first - 1], old), (rows[first], new)):
        moment = row["time"] + timedelta(microseconds=1)  # the journal counts nanoseconds
        (found,) = data.at(moment, NAME).to_pylist()
        assert (found["local_symbol"], found["contract_month"]) == month
        (shown,) = json.loads(running.cli("at", moment.isoformat(), LINE, "--json").stdout)
        assert (shown["local_symbol"], shown["contract_month"]) == month


def _price(client: ibstream.Client) -> ibstream.Quote | None:
    try:
        return client.price(LINE)
    except ibstream.IbstreamError:
        return None


@pytest.mark.parametrize("version", [226, 176])
def test_a_future_rolls_once_the_next_month_traded_more(
    pipeline: Callable[..., Pipeline], tmp_path: Path, version: int
) -> None:
    user = UserDatabase("sqlite", None, tmp_path)
    user.project()
    by_volume = {"roll_by": "volume", "roll_days": 0}
    second = "ES:CME:USD:FUT:second"
    user.config({"symbols": [LINE, second, "ZC:CBOT:USD:FUT:front"], "contracts": {LINE: by_volume}})
    running = pipeline(start=False, database_url=user.url, project_id=1, roll_by="volume", roll_days=1)
    running.arguments["simulator"] += ["--server-version", str(version), "--scenario", "volumes_cross"]
    with running:
        rolls = eventually(lambda: _rolls(running) if len(_rolls(running)) == 2 else None, 60.0)
        months = [one for one in usual(datetime.now(UTC).date()) if one.symbol == "ES"]
        front = rolls[NAME]
        assert (front.rule, front.old_con_id, front.con_id) == ("volume", months[0].con_id, months[1].con_id)
        assert front.volume > front.old_volume > 0 and len(front.day) == 8
        assert rolls["ES_CME_USD_FUT_SECOND"].con_id == months[2].con_id
        told = [each for each in running.link_events() if isinstance(each, MonthsTraded)]
        assert {each.symbol for each in told} == {*rolls, "ZC_CBOT_USD_FUT_FRONT"}  # corn stays: its front trades most
        running.await_status("connected")
        after = eventually(lambda: _current(running, months[1].local_symbol), 40.0)
        assert after["contract_month"] == months[1].expiry[:6]
        assert after["last"] == pytest.approx(Walk(1, months[1]).at(time.time_ns()), abs=5)


def _rolls(running: Pipeline) -> dict[str, ContractRolled]:
    return {each.symbol: each for each in running.link_events() if isinstance(each, ContractRolled)}


def _current(running: Pipeline, local_symbol: str) -> Any:
    quote = running.quote(NAME)
    whole = quote is not None and not quote["stale"] and "last" in quote and quote["local_symbol"] == local_symbol
    return quote if whole else None
