"""ib_async with tickers for the symbols of the burst and nobody listening. Run in the peer's environment:

    peer_ib_async.py PORT FRAMES SYMBOLS SECONDS

Answers with a Sample as JSON: from asking for the burst to the frame that ends it.
"""

import asyncio
import json
import sys
import time

from ib_async import IB, Contract

FIRST_REQUEST, END_REQUEST = 1001, 999


async def main(port: int, frames: int, symbols: int, seconds: int) -> None:
    ib = IB()
    await ib.client.connectAsync("127.0.0.1", port, 1, 10)
    for number in range(symbols):
        ib.wrapper.startTicker(FIRST_REQUEST + number, Contract(conId=number + 1), "mktData")
    end = ib.wrapper.startReq(END_REQUEST)
    cpu, wall = time.process_time(), time.perf_counter()
    ib.client.reqCurrentTime()
    finished = True
    try:
        await asyncio.wait_for(end, seconds)
    except TimeoutError:
        finished = False
    sample = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "finished": finished}
    sample["count"] = frames
    assert not finished or all(ticker.last > 0 for ticker in ib.wrapper.reqId2Ticker.values())
    print(json.dumps(sample), flush=True)
    ib.client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
