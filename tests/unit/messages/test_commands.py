"""Commands are strict: what is not known is refused by its name. Replies are read by older programs too."""

import msgspec
import pytest

from messages.codec import decode_message, encode
from messages.control import Accepted, Failed


@pytest.mark.parametrize(
    "command",
    [
        {"type": "start", "projekt_id": 7},
        {"type": "stop", "projekt_id": 7},
        {"type": "get_status", "projekt_id": 7},
        {"type": "refresh_plan", "projekt_id": 7},
        {"type": "add_alert", "rule": "SPY crosses 600", "projekt_id": 7},
        {"type": "remove_alert", "id": 1, "projekt_id": 7},
        {"type": "list_alerts", "projekt_id": 7},
        {"type": "list_projects", "projekt_id": 7},
        {"type": "list_snapshots", "project_id": 1, "projekt_id": 7},
        {"type": "compute_plan", "request": {"type": "start", "projekt_id": 7}},
        {"type": "replay", "stream": "ticks", "from_seq": 1, "projekt_id": 7},
    ],
)
def test_a_misspelt_field_is_refused_by_name(command):
    with pytest.raises(msgspec.ValidationError, match="projekt_id"):
        decode_message(encode(command))


def test_a_reply_may_have_fields_that_are_not_known_yet():
    assert decode_message(encode({"type": "accepted", "seq": 3, "since": "now"})) == Accepted(seq=3)
    assert decode_message(encode({"type": "failed", "code": "c", "message": "m", "why": 1})) == Failed("c", "m")
