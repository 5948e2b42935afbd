"""GET quality: the report of a day, as the journal has it."""

from messages.fields import LAST
from services.quotes.past_quality import day_report
from tests.blocks import NOW, TestWriter
from tests.unit.web.support import Web, error_of

PATH = "/api/ib/stream/quality"


def test_the_report_of_today_goes_on_and_is_that_of_the_journal(web: Web) -> None:
    journal = web.settings.journal_dir
    writer = TestWriter(journal, "ticks")
    writer.ticks([("SPY", LAST, 100.0, 1.0)])
    assert [row["ticks"] for row in web.get(PATH).json()["symbols"]] == [1]
    writer.ticks([("SPY", LAST, 100.1, 1.0), ("SPY", LAST, 100.2, 1.0)])
    answer = web.get(PATH, params={"day": "2026-01-05"})
    assert [row["ticks"] for row in answer.json()["symbols"]] == [3]
    assert answer.content == day_report(journal, "2026-01-05", NOW)
    writer.close()


def test_what_is_no_day_or_no_more_is_refused(web: Web) -> None:
    assert error_of(web.get(PATH, params={"day": "2026-13-01"})) == (400, "invalid_request")
    assert error_of(web.get(PATH, params={"day": "2026-01-06"})) == (400, "invalid_request")
    writer = TestWriter(web.settings.journal_dir, "ticks")
    writer.ticks([("SPY", LAST, 100.0, 1.0)])
    writer.close()
    assert error_of(web.get(PATH, params={"day": "2026-01-01"})) == (410, "past_deleted")
