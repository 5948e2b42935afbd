"""Errors that a user meets: a stable code and a sentence. The CLI's exit code and HTTP status hang on the code.

Exit codes: 1 a general failure, 2 wrong usage or settings, 3 lock busy, then one for each code below.
"""

from typing import Final

import msgspec


class ErrorCode(msgspec.Struct, frozen=True):
    exit: int
    http: int
    field: str | None = None  # of a start request: the one that usually causes it


CODES: Final[dict[str, ErrorCode]] = {
    "invalid_request": ErrorCode(exit=2, http=400),
    "invalid_setting": ErrorCode(exit=2, http=400),
    "ib_stream_lock_busy": ErrorCode(exit=3, http=409),
    "project_not_found": ErrorCode(exit=4, http=404, field="project_id"),
    "decision_snapshot_not_found": ErrorCode(exit=5, http=404, field="decision_snapshot_id"),
    "symbols_empty": ErrorCode(exit=6, http=422, field="symbols"),
    "invalid_symbol": ErrorCode(exit=7, http=422, field="symbols"),
    "supervisor_unreachable": ErrorCode(exit=8, http=503),
    "planner_unreachable": ErrorCode(exit=9, http=503),
    "database_unavailable": ErrorCode(exit=10, http=503),
    "schema_unexpected": ErrorCode(exit=11, http=503),
    "snapshot_unreadable": ErrorCode(exit=12, http=422, field="decision_snapshot_id"),
    "symbol_not_found": ErrorCode(exit=13, http=404),
    "journal_unavailable": ErrorCode(exit=14, http=503),
    "journal_damaged": ErrorCode(exit=15, http=503),
    "stale_price": ErrorCode(exit=16, http=503),
    "stream_stopped": ErrorCode(exit=17, http=503),
    "program_unreachable": ErrorCode(exit=18, http=503),
    "alert_not_found": ErrorCode(exit=19, http=404, field="id"),
    "past_deleted": ErrorCode(exit=20, http=410),
    "gateway_unreachable": ErrorCode(exit=21, http=503),
}


class IbStreamError(Exception):
    """A failure with a stable code and one sentence for the person who caused or meets it.

    `field` is the part of the request that caused it, where one did: `max_symbols`.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        assert code in CODES, code
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field or CODES[code].field

    @property
    def exit_code(self) -> int:
        return CODES[self.code].exit

    @property
    def http_status(self) -> int:
        return CODES[self.code].http
