"""Configurations as users keep them: texts, lists, or a sentence that says what is wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.errors import IbStreamError
from services.planner.config import ProjectConfig, Theme, parse_config


def test_all_that_is_read() -> None:
    content = {
        "benchmark": "SPY",
        "risk_off_symbols": "BIL, TLT,",
        "symbols": ["AAPL", " NVDA ", None, 700],
        "themes": [{"key": "energy", "weight": "0.5", "priority": 2, "manual": "XOM,CVX", "exclude": ["USO"]}],
        "asset_types": ["Stock"],
        "contracts": {"BMW": "BMW:IBIS:EUR"},
        "tick_by_tick": {"SPY": "AllLast"},
        "real_time_bars": {"QQQ": "TRADES"},
        "options": {"SPY": "5 strikes, 3 expiries"},
        "generic_ticks": {"*": "233,236", "SPY": [456, "233"]},
        "something_else": {"of": "the user"},
    }
    expected = ProjectConfig(
        benchmark=("SPY",),
        risk_off_symbols=("BIL", "TLT"),
        symbols=("AAPL", "NVDA", "700"),
        themes=(Theme("energy", 0.5, 2.0, ("XOM", "CVX"), ("USO",)),),
        asset_types=frozenset({"stock"}),
        contracts={"BMW": "BMW:IBIS:EUR"},
        tick_by_tick={"SPY": "AllLast"},
        real_time_bars={"QQQ": "TRADES"},
        options={"SPY": "5 strikes, 3 expiries"},
        generic_ticks={"*": frozenset({233, 236}), "SPY": frozenset({233, 456})},
    )
    text = json.dumps(content)
    for form in (content, text, text.encode(), bytearray(text.encode()), "\ufeff" + text):
        assert parse_config(form, "it") == expected


@pytest.mark.parametrize("content", [None, "", "  \n", b"", "{}", {}, {"symbols": None, "themes": []}])
def test_nothing_configured(content: object) -> None:
    assert parse_config(content, "it") == ProjectConfig()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{oops", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it is a list; expected a JSON object"),
        ('{"symbols": 5}', "it has `symbols` that is a number; expected a list or a comma-separated text"),
        ('{"symbols": ["A", {}]}', "it has an object in `symbols`; expected texts"),
        ('{"themes": {"energy": 1}}', "it has `themes` that are an object; expected a list"),
        ('{"themes": [{"weight": 1}]}', "it has a theme without a `key`"),
        ('{"themes": [{"key": "e", "weight": "x"}]}', "it has a weight of theme 'e' that is not a number"),
        ('{"themes": [{"key": "e", "priority": NaN}]}', "it has a priority of theme 'e' that is not a number"),
        (
            '{"tick_by_tick": {"SPY": "All"}}',
            "it has `tick_by_tick` that is no object by symbol of Last, AllLast, BidAsk, MidPoint",
        ),
        (
            '{"real_time_bars": "SPY"}',
            "it has `real_time_bars` that is no object by symbol of TRADES, MIDPOINT, BID, ASK",
        ),
        (
            '{"options": "SPY"}',
            'it has `options` that are no texts by symbol, such as {"SPY": "5 strikes, 3 expiries"}',
        ),
        ('{"generic_ticks": 5}', "it has `generic_ticks` that is a number; expected a list or a comma-separated text"),
        (
            '{"generic_ticks": {"SPY": "vwap"}}',
            "it has `generic_ticks` that cannot be read: generic ticks are numbers with commas between, as 233,236; not"
            " 'vwap'",
        ),
        ('{"contracts": []}', "it has `contracts` that are a list; expected an object by symbol"),
    ],
)
def test_one_sentence_says_what_is_wrong(content: str, sentence: str) -> None:
    with pytest.raises(IbStreamError) as caught:
        parse_config(content, "it")
    assert (caught.value.code, caught.value.message) == ("schema_unexpected", sentence)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["benchmark", "risk_off_symbols", "symbols", "themes", "asset_types", "contracts"])


@given(st.one_of(values, st.dictionaries(keys, values), st.text(), st.binary()))
def test_any_content_is_read_or_refused(content: object) -> None:
    try:
        parse_config(content, "it")
    except IbStreamError as error:
        assert error.code == "schema_unexpected"
