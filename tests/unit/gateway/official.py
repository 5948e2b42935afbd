"""What the installed official client (`ibapi`, any release) makes of frames: the oracle of the fast path.

Imported by the tests of the decoders, and run as a script by the interpreter of another environment, to ask another
release: reads `[server_version, [payload, ...]]` (payloads as latin-1 text) as JSON lines, answers line by line.
"""

import functools
import inspect
import json
import sys
import warnings
from typing import Any

from ibapi import decoder, wrapper
from ibapi.common import TickerId

UNSET = "unset"
_UNSET_DECIMAL = 2**127 - 1

Call = list[Any]  # name, request, field, value


class Recorder(wrapper.EWrapper):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def tickPrice(self, reqId: TickerId, tickType: int, price: float, attrib: Any) -> None:
        self.calls.append(["price", reqId, tickType, price])

    def tickSize(self, reqId: TickerId, tickType: int, size: Any) -> None:
        self.calls.append(["size", reqId, tickType, UNSET if size == _UNSET_DECIMAL else str(size)])

    def tickGeneric(self, reqId: TickerId, tickType: int, value: float) -> None:
        self.calls.append(["generic", reqId, tickType, value])

    def tickString(self, reqId: TickerId, tickType: int, value: str) -> None:
        self.calls.append(["string", reqId, tickType, value])


@functools.lru_cache
def client(server_version: int) -> tuple[decoder.Decoder, Recorder]:
    recorder = Recorder()
    return decoder.Decoder(recorder, server_version), recorder


ONE_ARGUMENT = len(inspect.signature(decoder.Decoder.interpret).parameters) == 2  # self and the fields: 9.81.1


def calls(payload: bytes, server_version: int) -> list[Call] | None:
    """The callbacks that one frame leads to; None when the client fails on it."""
    official, recorder = client(server_version)
    recorder.calls = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of texts with escapes that Python does not know
        try:
            if server_version >= 201:  # the id is binary, and over 200 it announces protobuf
                kind, body = int.from_bytes(payload[:4], "big"), payload[4:]
                if kind > 200:
                    official.processProtoBuf(body, kind - 200)
                else:
                    official.interpret(tuple(body.split(b"\0")[:-1]), kind)
            elif ONE_ARGUMENT:
                official.interpret(tuple(payload.split(b"\0")[:-1]))
            else:
                message_id, text = payload.split(b"\0", 1)
                official.interpret(tuple(text.split(b"\0")[:-1]), int(message_id))
        except Exception:
            return None
    return recorder.calls


def main() -> None:
    for line in sys.stdin:
        server_version, payloads = json.loads(line)
        print(json.dumps([calls(payload.encode("latin-1"), server_version) for payload in payloads]), flush=True)


if __name__ == "__main__":
    main()
