"""The official client (either distribution) with callbacks that only count. Run in the peer's environment:

    peer_official.py PORT FRAMES SECONDS

Answers with a Sample as JSON: from asking for the burst to the callback of the frame that ends it.
"""

import json
import os
import sys
import threading
import time

from ibapi.client import EClient
from ibapi.wrapper import EWrapper


class Counter(EWrapper):
    def __init__(self, frames, seconds):
        super().__init__()
        self.client = EClient(self)
        self.frames, self.seconds = frames, seconds
        self.prices = self.sizes = self.strings = 0

    def nextValidId(self, orderId):
        threading.Timer(self.seconds, self.answer, [False]).start()
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        self.client.reqCurrentTime()

    def tickPrice(self, reqId, tickType, price, attrib):
        self.prices += 1

    def tickSize(self, reqId, tickType, size):
        self.sizes += 1

    def tickString(self, reqId, tickType, value):
        self.strings += 1

    def tickSnapshotEnd(self, reqId):
        self.answer(True)

    def answer(self, finished):
        sample = {"wall": time.perf_counter() - self.wall, "cpu": time.process_time() - self.cpu, "finished": finished}
        sample["count"] = self.sizes + self.strings  # the client makes a size callback of every price frame
        assert not finished or sample["count"] == self.frames, sample
        print(json.dumps(sample), flush=True)
        os._exit(0)


if __name__ == "__main__":
    port, frames, seconds = map(int, sys.argv[1:])
    counter = Counter(frames, seconds)
    counter.client.connect("127.0.0.1", port, 1)
    counter.client.run()
