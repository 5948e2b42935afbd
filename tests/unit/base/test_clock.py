"""Times as people and programs say them: whatever is taken can be written again, and the rest is refused in words."""

import pytest

from services.base.clock import EPOCH, SECOND, iso, moment_of, parse_time, utc_day

NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize("text", ["0001-01-01", "0999-12-31T23:59:59", "2026-01-05T14:30Z", "9999-12-31T23:59:59.9999"])
def test_what_is_taken_can_be_written_and_read_again(text: str) -> None:
    ns = parse_time(text, NOW)
    assert parse_time(iso(ns), NOW) == ns
    assert iso(ns).startswith(utc_day(ns) + "T")


@pytest.mark.parametrize(
    "text",
    [
        "-99999999999999d",
        f"-{'9' * 400}d",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01",
        "+5m",
        "24:61",
        "",
    ],
)
def test_what_no_year_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        parse_time(text, NOW)


@pytest.mark.parametrize("ns", [10**30, -(10**30)])
def test_so_are_nanoseconds(ns: int) -> None:
    with pytest.raises(ValueError, match="UTC nanoseconds"):
        moment_of(ns, NOW)
    assert moment_of(NOW, 0) == NOW
    assert EPOCH.timestamp() == 0
