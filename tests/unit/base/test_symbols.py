"""The notation of contracts, and the names that files and topics hang on."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.errors import IbStreamError
from services.base.symbols import file_name, name_of, occ_symbol, override, parse


@pytest.mark.parametrize(
    ("text", "name", "ib_symbol"),
    [
        ("SPY", "SPY", "SPY"),
        (" aapl ", "AAPL", "AAPL"),
        ("BRK B", "BRK.B", "BRK B"),
        ("BRK.B", "BRK.B", "BRK B"),
        ("brk  b", "BRK.B", "BRK B"),
        ("MSFT:SMART:USD:STK:NASDAQ", "MSFT", "MSFT"),
        ("SAP:IBIS:EUR", "SAP_IBIS_EUR", "SAP"),
        ("SAP:IBIS:EUR:STK", "SAP_IBIS_EUR", "SAP"),
        ("SAP_IBIS_EUR", "SAP_IBIS_EUR", "SAP"),
        ("RCI B:TSE:CAD", "RCI.B_TSE_CAD", "RCI.B"),
        ("BP.:LSE:GBP", "BP._LSE_GBP", "BP."),
        ("SPX:CBOE:USD:IND", "SPX_CBOE_USD_IND", "SPX"),
        ("EUR:IDEALPRO:USD:CASH", "EUR_IDEALPRO_USD_CASH", "EUR"),
        ("700:SEHK:HKD", "700_SEHK_HKD", "700"),
        ("ES:CME:USD:FUT:202612", "ES_CME_USD_FUT_202612", "ES"),
        ("ES:CME:USD:FUT:front", "ES_CME_USD_FUT_FRONT", "ES"),
        ("M&M:NSE:INR", "M&M_NSE_INR", "M&M"),
        ("AAPL  261218C00242500", "AAPL261218C00242500", "AAPL"),
        ("spxw 261218p05900000", "SPXW261218P05900000", "SPXW"),
        ("SPX:SMART:USD:OPT:20261218:5900:C:SPXW", "SPX_SMART_USD_OPT_20261218_5900_C_SPXW", "SPX"),
        ("BRK.B:SMART:USD:OPT:20261218:0450.50:put", "BRK.B_SMART_USD_OPT_20261218_450.5_P", "BRK B"),
        ("ES:CME:USD:FOP:20261218:5900:C:EW3", "ES_CME_USD_FOP_20261218_5900_C_EW3", "ES"),
        ("DAX:FWB:EUR:WAR:20261218:24000:C", "DAX_FWB_EUR_WAR_20261218_24000_C", "DAX"),
        ("912828C57:SMART:USD:BOND", "912828C57_SMART_USD_BOND", "912828C57"),
        ("XAUUSD:SMART:USD:CMDTY", "XAUUSD_SMART_USD_CMDTY", "XAUUSD"),
    ],
)
def test_name_and_ib_symbol(text: str, name: str, ib_symbol: str) -> None:
    contract = parse(text)
    assert (contract.name, contract.ib_symbol) == (name, ib_symbol)
    assert file_name(text) == f"{name}.json"
    again = parse(name)
    assert (again.name, again.strike, again.right, again.local_symbol, again.roll) == (
        (name, contract.strike, contract.right, contract.local_symbol, contract.roll)
    )


def test_an_option_is_an_expiry_a_strike_and_a_right() -> None:
    long = parse("SPX:SMART:USD:OPT:20261218:5900.5:CALL:SPXW")
    assert (long.last_trade_date, long.strike, long.right, long.trading_class) == ("20261218", 5900.5, "C", "SPXW")
    occ = parse("AAPL  261218C00242500")
    assert (occ.local_symbol, occ.last_trade_date, occ.strike, occ.right) == (
        ("AAPL  261218C00242500", "20261218", 242.5, "C")
    )
    assert parse(occ_symbol("BRK B", "20261218", 450.0, "P")).local_symbol == "BRKB  261218P00450000"


def test_a_future_that_rolls_has_no_month_and_may_have_a_rule_of_its_own() -> None:
    second = parse("es:cme:usd:fut:second")
    assert (second.roll, second.last_trade_date, second.local_symbol, second.roll_days) == ("second", "", "", -1)
    assert override(second, {"roll_days": 8, "trading_class": "ES"}).roll_days == 8
    assert override(parse("ES"), "ES:CME:USD:FUT:front").roll == "front"
    assert override(second, {"roll_by": "Volume"}).roll_by == "volume"
    for change in ({"roll_by": "open interest"}, {"roll_days": -1}, {"roll_days": 367}):
        with pytest.raises(IbStreamError):
            override(second, change)
    for change in ({"last_trade_date": "202612"}, {"sec_type": "STK"}):
        with pytest.raises(IbStreamError):
            override(second, change)
    with pytest.raises(IbStreamError, match="it does not roll"):
        override(parse("ES:CME:USD:FUT:202612"), {"roll_days": 8})
    with pytest.raises(IbStreamError, match="it does not roll"):
        override(parse("ES:CME:USD:FUT:202612"), {"roll_by": "volume"})
    with pytest.raises(IbStreamError, match="ES:CME:USD:FUT:front"):
        parse("ES:CME:USD:FUT")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("SPX:SMART:USD:OPT", "expected SYMBOL:EXCHANGE:CURRENCY:OPT:EXPIRY:STRIKE:RIGHT[:CLASS]"),
        ("SPX:SMART:USD:OPT:20261218:5900:X", "'X' is neither C nor P"),
        ("SPX:SMART:USD:OPT:20261218:-5:C", "'-5' is not a strike"),
        ("SPX:SMART:USD:OPT:2026:5900:C", "'2026' is not a month or day, as 202612 or 20261218"),
        ("SPY:SMART:USD:BAG", "BAG is not served: a combination is priced by its legs; name each leg"),
        (
            "ES:CME:USD:CONTFUT",
            "CONTFUT is not served: a continuous future has bars and no market data; name its month",
        ),
        ("ES:CME:USD:XYZ", "'XYZ' is not one of STK, IND, CASH, FUT, OPT, FOP, WAR, BOND, CRYPTO, CMDTY, CFD, FUND"),
    ],
)
def test_what_is_no_option_or_not_served_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(IbStreamError) as caught:
        parse(text)
    assert caught.value.message.endswith(f"is not a symbol: {sentence}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "A/B",
        "A\\B",
        "A..B",
        "X" * 300,
        "X" * 33,
        "AAPL\n",
        "AA\0PL",
        "AA\x1bPL",
        "ÄPFEL",
        "ſpy",
        "_status",
        "AAPL_",
        "SAP:IBIS",
        "SAP:IBIS:EURO",
        "SAP::EUR",
        "SAP:IBIS:EUR:OPT",
        "SAP:IBIS:EUR:STK:",
        "A:B:C:D:E:F",
        "ES:CME:USD:FUT",
        "ES:CME:USD:FUT:DEC",
        "-SPY",
        "SPY*",
    ],
)
def test_what_could_not_be_a_symbol_is_refused(text: str) -> None:
    with pytest.raises(IbStreamError) as caught:
        file_name(text)
    assert caught.value.code == "invalid_symbol"
    assert len(caught.value.message) < 200
    assert caught.value.message.isprintable()


def test_futures_by_month_or_local_symbol() -> None:
    assert parse("ES:CME:USD:FUT:202612").last_trade_date == "202612"
    assert parse("ES:CME:USD:FUT:202612").primary_exchange == ""
    assert parse("ESZ6:CME:USD:FUT").local_symbol == "ESZ6"


def test_override_keeps_the_name() -> None:
    bmw = override(parse("BMW"), {"exchange": "ibis", "currency": "EUR"})
    assert (bmw.name, bmw.exchange, bmw.currency) == ("BMW", "IBIS", "EUR")
    assert override(parse("BMW"), "BMW:IBIS:EUR") == bmw
    es = override(parse("ES"), {"sec_type": "FUT", "exchange": "CME", "last_trade_date": 202612})
    assert (es.name, es.last_trade_date) == ("ES", "202612")


@pytest.mark.parametrize(
    "change", [{"exchnage": "IBIS"}, {"exchange": ""}, {"sec_type": "FUT"}, 7, "::", {"name": "X"}]
)
def test_override_that_makes_no_contract_is_refused(change: object) -> None:
    with pytest.raises(IbStreamError) as caught:
        override(parse("BMW"), change)
    assert caught.value.code == "invalid_symbol"


SAFE = set(string.ascii_uppercase + string.digits + "._-&+")


@given(st.one_of(st.text(), st.text(alphabet="ABab01.:_ -/", max_size=20)))
def test_any_text_is_a_safe_stable_name_or_refused(text: str) -> None:
    try:
        name = name_of(text)
    except IbStreamError as error:
        assert error.code == "invalid_symbol"
        return
    assert set(name) <= SAFE and name[0].isalnum() and ".." not in name
    assert name_of(name) == name
    assert len(file_name(name)) <= 120
