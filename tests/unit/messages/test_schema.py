"""`messages/schema.json` is what the types say, and real messages hold to it."""

import json
from pathlib import Path

import jsonschema

from messages import schema
from messages.codec import encode_json
from messages.control import Start
from messages.views import Quote

FILE = Path(schema.__file__).with_name("schema.json")


def test_the_file_is_in_step() -> None:
    """When this fails: `python -m messages.schema > messages/schema.json`."""
    assert FILE.read_text() == schema.text()


def test_a_quote_and_a_command_hold_to_it() -> None:
    document = json.loads(FILE.read_text())
    Validator = jsonschema.validators.validator_for(document)
    Validator.check_schema(document)
    quote, message = (Validator({"$ref": f"#/properties/{name}", **document}) for name in ("quote", "message"))
    current = Quote(symbol="SPY", last=590.0, source="ib_stream", stale=True, epoch=1, seq=1)
    quote.validate(json.loads(encode_json(current)))
    message.validate(json.loads(encode_json(Start(symbols=["SPY"]))))
    for wrong in ({"symbol": "SPY"}, {"symbol": 1, "stale": True, "epoch": 1, "seq": 1}):
        assert not quote.is_valid(wrong), wrong
