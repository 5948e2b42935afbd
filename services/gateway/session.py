"""One connection to a gateway for a tool that asks a few things and ends: `doctor` and `find`."""

import select
import time
from collections.abc import Callable, Iterator

from messages.fields import QUOTE_FIELD
from messages.topics import events_endpoint
from services.base.settings import Settings
from services.gateway.core.interface import Event, IbErrorSeen
from services.gateway.wire.columns import Columns
from services.gateway.wire.connection import LinkClosed, Stage, open_any
from services.gateway.wire.official_client import NEWEST_VERSION, OLDEST_VERSION, BadFrame, OfficialClient
from services.gateway.wire.text_ticks import FIRST_OWN_FIELD, FrameError
from services.gateway.wire.tick_decoder import TickDecoder, tick_decoder
from services.runtime.bus import is_listening

FOREIGN_ID = 1000  # added to the client id when the gateway service runs, which wants the id for itself
REQUEST = 1  # whose ticks are kept


def client_id(settings: Settings, service: str) -> int:
    """One that the gateway service does not hold."""
    ours = is_listening(settings.run_path / events_endpoint(service))
    return settings.ib_client_id + FOREIGN_ID if ours else settings.ib_client_id


class Session:
    """One connection, driven by deadlines instead of a loop."""

    def __init__(self, settings: Settings, client_id: int) -> None:
        host, port = settings.gateway_addresses[0]
        self.connection = open_any(host, port, OLDEST_VERSION, NEWEST_VERSION, settings.ib_connect_timeout)
        self.events: list[Event] = []
        self.prices: dict[str, float] = {}
        self.sizes: list[float] = []
        self._client_id = client_id
        self._official: OfficialClient | None = None
        self._decoder: TickDecoder | None = None
        self._columns = Columns()
        self._end: LinkClosed | FrameError | BadFrame | None = None

    @property
    def official(self) -> OfficialClient:
        assert self._official is not None
        return self._official

    def send(self) -> None:
        """Send what the client has encoded. Raises LinkClosed."""
        for frame in self.official.take_frames():
            self.connection.send(frame)

    def until(self, done: Callable[[], object], seconds: float) -> bool:
        """Serve the socket until `done()` or the deadline. Raises LinkClosed, FrameError or BadFrame when the
        connection ends, but only once all that came before its end has been looked at."""
        deadline = time.monotonic() + seconds
        while not done():
            left = deadline - time.monotonic()
            if self._end is not None:
                raise self._end
            if left <= 0:
                return False
            fd = self.connection.fd
            select.select([fd], [fd] if self.connection.wants_write else [], [], min(left, 0.1))
            self._serve()
        return True

    def errors(self) -> Iterator[IbErrorSeen]:
        return (event for event in self.events if isinstance(event, IbErrorSeen))

    def _serve(self) -> None:
        """Send and receive what can be now; an end of the connection is kept for later."""
        rare = list[bytes]()
        for step in (self._flush, lambda: self._receive(rare), lambda: self._interpret(rare)):
            try:
                step()
            except (LinkClosed, FrameError, BadFrame) as error:
                self._end = self._end or error

    def _flush(self) -> None:
        if self.connection.connected():
            self.connection.flush()

    def _receive(self, rare: list[bytes]) -> None:
        """All that the socket holds: ticks into the columns, other frames to `rare`."""
        while self.connection.stage is not Stage.CLOSED:
            data = self.connection.receive()
            if self._decoder is None and self.connection.stage is Stage.OPEN:
                self._official = OfficialClient(self._client_id, self.connection.server_version, self._odd_tick)
                self._decoder = tick_decoder(self.connection.server_version, self._official.interpret)
                self._decoder.add(REQUEST, REQUEST)
                self._official.start_api()
                self.send()
            if data is None or self._decoder is None:
                break
            self._decoder.feed(data, self._columns, rare)

    def _interpret(self, rare: list[bytes]) -> None:
        for frame in rare:
            self.official.interpret(frame)
        if self._official is not None:
            self.events += self._official.inputs
            self._official.inputs.clear()
        columns, self._columns = self._columns, Columns()
        for field, value in zip(columns.fields, columns.values, strict=True):
            name = QUOTE_FIELD.get(field)
            if name is None:
                continue
            if name in ("bid_size", "ask_size"):  # odd lots are traded, and not quoted
                self.sizes.append(value)
            elif value > 0:
                self.prices[name] = value

    def _odd_tick(self, req_id: int, field: int, value: float | str, size: float) -> None:
        if not isinstance(value, str) and 0 <= field < FIRST_OWN_FIELD:
            self._columns.add(req_id, field, value, size)
