"""Every example of `messages/PROTOCOL.md` is what the types say."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from messages import topics
from messages.codec import decode_candle, decode_message, decode_quote, encode
from messages.control import Command, PlannerCommand, Reply
from messages.errors import CODES

PAGE = (Path(topics.__file__).parent / "PROTOCOL.md").read_text()
EXAMPLES: list[dict[str, Any]] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.get("type", "quote"))
def test_an_example_reads_as_what_it_is(example: dict[str, Any]) -> None:
    if "interval" in example:
        candle = decode_candle(encode(example))
        assert msgspec.to_builtins(candle) == example
        return
    if "type" not in example:
        quote = decode_quote(encode(example))
        assert set(example) <= set(quote.__struct_fields__)
        assert (quote.good_until is None) == quote.stale
        return
    message = decode_message(encode(example))
    again = msgspec.msgpack.decode(encode(message))
    assert example.items() >= {name: value for name, value in again.items() if name in example}.items()
    assert set(example) <= {"type", *message.__struct_fields__}


def test_every_command_and_reply_is_shown_or_is_an_answer_in_the_schema() -> None:
    shown = {example.get("type") for example in EXAMPLES}
    for group in (Command, PlannerCommand):
        assert {kind.__struct_config__.tag for kind in group.__args__} <= shown
    assert {"accepted", "failed", "replay_reply"} <= shown & {kind.__struct_config__.tag for kind in Reply.__args__}


def test_codes_and_topics_that_are_named_exist() -> None:
    assert {example["code"] for example in EXAMPLES if "code" in example} <= set(CODES)
    for topic in (topics.STATUS, topics.PLAN, topics.TICKS, topics.LINK, topics.CONTROL):
        assert f"`{topic}`" in PAGE
