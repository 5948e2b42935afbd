"""Every IB error code that ibstream knows: its stable name, its class, what the gateway does, and a sentence.

One table for the core, the docs and the tests. A code that is not in it is counted and shown as `unknown`.
Source: TWS API documentation (Message Codes), and reports of other clients' users.
"""

from typing import Final, Literal

import msgspec

# ruff: noqa: E501 - a table reads best with one row a line

IbErrorKind = Literal["info", "warning", "symbol", "link", "fatal"]

Reaction = Literal[
    "note",  # write it down
    "reject",  # the symbol is rejected, and tried again later
    "no_entitlement",  # delayed data if the user allows it, else reject
    "competing",  # another session has the data: try again gently
    "resubscribe",  # this symbol, with a fresh request id
    "line_limit",  # learn the limit; the least important symbols rotate through snapshots
    "slow_down",  # halve the message rate
    "request_failed",  # this request has no answer; the ladder's next rung, or later again
    "ib_lost",  # prices have stopped; the socket stays
    "ib_restored_lost",  # resubscribe everything
    "ib_restored_kept",  # resubscribe nothing, but verify that ticks flow
    "new_port",  # connect to the port in the message
    "client_id_taken",  # keep the id and back off
    "reconnect",  # the socket is of no use: close it and connect again
    "farm",  # a data farm's state
]


class IbCode(msgspec.Struct, frozen=True):
    code: int
    name: str
    kind: IbErrorKind
    reaction: Reaction
    sentence: str


_TABLE: Final[tuple[IbCode, ...]] = (
    # requests and symbols
    IbCode(100, "too_many_messages", "warning", "slow_down", "More messages a second than IB allows; three breaches end the session."),
    IbCode(101, "line_limit", "warning", "line_limit", "All market data lines are in use, here or on another program of this user."),
    IbCode(162, "history_failed", "warning", "request_failed", "The history service has no answer: no data, no permission, or asked too often."),
    IbCode(165, "history_note", "info", "note", "A message of the history service."),
    IbCode(200, "no_contract", "symbol", "reject", "IB knows no such contract, or more than one."),
    IbCode(300, "unknown_request", "info", "note", "IB does not know the request that was to be cancelled; it had ended."),
    IbCode(309, "too_many_depth", "warning", "note", "Too many market depth requests are open."),
    IbCode(310, "unknown_depth", "info", "note", "IB does not know the market depth request that was to be cancelled."),
    IbCode(317, "depth_reset", "info", "note", "Market depth was reset."),
    IbCode(320, "bad_request", "warning", "request_failed", "The gateway could not read a request."),
    IbCode(321, "invalid_request", "symbol", "reject", "The gateway refused a request as invalid."),
    IbCode(322, "duplicate_id", "warning", "resubscribe", "The gateway failed to process a request, often for a request id used twice."),
    IbCode(354, "no_entitlement", "symbol", "no_entitlement", "No market data subscription covers this symbol."),
    IbCode(366, "unknown_history", "info", "note", "The history request had ended when it was cancelled."),
    IbCode(420, "invalid_realtime_query", "symbol", "reject", "The real-time query is not valid or not entitled."),
    IbCode(430, "no_fundamentals", "warning", "request_failed", "The fundamental data of this contract is not available."),
    IbCode(10089, "no_entitlement_api", "symbol", "no_entitlement", "The symbol needs a market data subscription for API use; delayed data may be there."),
    IbCode(10090, "partly_entitled", "warning", "note", "Part of the requested data is not entitled; the other ticks flow."),
    IbCode(10091, "no_entitlement_part", "symbol", "no_entitlement", "Part of the data needs a further market data subscription for API use."),
    IbCode(10167, "delayed_shown", "warning", "note", "Delayed data is delivered, as the live data is not entitled."),
    IbCode(10168, "delayed_not_enabled", "symbol", "no_entitlement", "The live data is not entitled, and delayed data was not asked for."),
    IbCode(10182, "updates_failed", "warning", "request_failed", "Live updates could not be had: the gateway lost its data connection."),
    IbCode(10186, "delayed_unavailable", "symbol", "no_entitlement", "The live data is not entitled, and there is no delayed data."),
    IbCode(10187, "history_ticks_failed", "warning", "request_failed", "Historical ticks could not be had."),
    IbCode(10189, "tick_by_tick_failed", "warning", "request_failed", "Tick-by-tick data could not be had."),
    IbCode(10190, "tick_by_tick_limit", "warning", "request_failed", "Too many tick-by-tick requests are open."),
    IbCode(10197, "competing_session", "warning", "competing", "Another session of this user, such as a phone or a web login, has the market data."),
    IbCode(10225, "bust_event", "warning", "resubscribe", "A bust event ended the subscription; it must be renewed."),
    IbCode(10285, "version_too_old", "warning", "note", "The API version is too old for fractional share sizes."),
    IbCode(10299, "other_bars", "warning", "request_failed", "History has bars of another kind for this contract, such as AGGTRADES."),
    IbCode(10314, "bad_end_time", "warning", "request_failed", "The end time of a history request was not understood."),
    IbCode(10148, "order_not_cancellable", "info", "note", "An order could not be cancelled in its state."),
    IbCode(10339, "bad_end_of_continuous", "warning", "request_failed", "A continuous future takes no end time."),
    IbCode(10358, "fundamentals_refused", "warning", "request_failed", "Fundamental data is not allowed."),
    # between gateway and IB
    IbCode(1100, "ib_connection_lost", "link", "ib_lost", "The gateway has lost IB; the socket stays up, and prices stop."),
    IbCode(1101, "ib_restored_data_lost", "link", "ib_restored_lost", "IB is back, and the subscriptions are gone."),
    IbCode(1102, "ib_restored_data_kept", "link", "ib_restored_kept", "IB is back, and the subscriptions were kept."),
    IbCode(1300, "port_changed", "link", "new_port", "The gateway's port was changed; it closes the socket."),
    IbCode(2100, "account_updates_ended", "info", "note", "Another client took over the account updates."),
    IbCode(2103, "farm_broken", "warning", "farm", "A market data farm is disconnected."),
    IbCode(2104, "farm_ok", "info", "farm", "A market data farm is connected."),
    IbCode(2105, "history_farm_broken", "warning", "farm", "A history farm is disconnected."),
    IbCode(2106, "history_farm_ok", "info", "farm", "A history farm is connected."),
    IbCode(2107, "history_farm_idle", "info", "farm", "A history farm is idle, and connects on demand."),
    IbCode(2108, "farm_idle", "info", "farm", "A market data farm is idle, and connects on demand."),
    IbCode(2109, "outside_hours_ignored", "info", "note", "An order attribute was ignored."),
    IbCode(2110, "server_connection_broken", "link", "ib_lost", "The gateway's connection to IB's server is broken; it heals by itself."),
    IbCode(2119, "farm_connecting", "info", "farm", "A market data farm is being connected."),
    IbCode(2137, "cross_side", "info", "note", "A warning about an order."),
    IbCode(2152, "depth_partly", "info", "note", "Market depth of some exchanges is not entitled."),
    IbCode(2174, "time_zone_assumed", "info", "note", "A time was sent without a time zone; the gateway assumed one."),
    IbCode(2176, "fractions_unknown", "warning", "note", "The API version does not know fractional sizes; they are rounded."),
    IbCode(2188, "history_behind", "info", "note", "Bars up to the second need a further subscription; older ones may be there."),
    IbCode(2157, "sec_def_farm_broken", "warning", "farm", "A security definition farm is disconnected."),
    IbCode(2158, "sec_def_farm_ok", "info", "farm", "A security definition farm is connected."),
    # between us and the gateway
    IbCode(326, "client_id_in_use", "link", "client_id_taken", "Another client has this id, or our last connection has not been let go yet."),
    IbCode(501, "already_connected", "info", "note", "The client was connected already."),
    IbCode(502, "cannot_connect", "link", "reconnect", "The gateway cannot be reached, or its API port is not enabled."),
    IbCode(503, "gateway_too_old", "fatal", "reconnect", "The gateway is too old for this client and must be updated."),
    IbCode(504, "not_connected", "link", "reconnect", "There is no connection to the gateway."),
    IbCode(505, "unknown_message", "warning", "note", "The gateway or the client met a message id that it does not know."),
    IbCode(506, "unsupported_version", "fatal", "reconnect", "The gateway does not support this client's version."),
    IbCode(507, "bad_message", "link", "reconnect", "A message could not be read."),
    IbCode(509, "socket_error", "link", "reconnect", "The socket failed while it was read."),
    IbCode(522, "lost_connection", "link", "reconnect", "The connection was lost."),
)  # fmt: skip

TABLE: Final[dict[int, IbCode]] = {entry.code: entry for entry in _TABLE}
assert len(TABLE) == len(_TABLE)

SEC_DEF_OK: Final = 2158
FARM_CONNECTING: Final = 2119

FarmKind = Literal["market_data", "history", "sec_def"]
FarmState = Literal["ok", "inactive", "broken"]

FARM_CODES: Final[dict[int, tuple[FarmKind, FarmState]]] = {
    2103: ("market_data", "broken"),
    2104: ("market_data", "ok"),
    2105: ("history", "broken"),
    2106: ("history", "ok"),
    2107: ("history", "inactive"),
    2108: ("market_data", "inactive"),
    FARM_CONNECTING: ("market_data", "inactive"),
    2157: ("sec_def", "broken"),
    2158: ("sec_def", "ok"),
}


def look_up(code: int) -> IbCode:
    """The entry of a code. An unknown one is `unknown`: a symbol's, a warning, and only written down."""
    return TABLE.get(code) or IbCode(code, "unknown", "warning", "note", "IB sent a code that ibstream does not know.")
