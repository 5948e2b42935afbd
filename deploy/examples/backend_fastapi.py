"""A web backend that follows the status topic and refuses old prices: `uvicorn backend_fastapi:app`.

The status is followed on a thread of its own; an endpoint answers from the last one. Prices are read when asked for.
IBSTREAM_DATA_ROOT names the data root (default: data).
"""

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import zmq
from fastapi import FastAPI, HTTPException

import ibstream

ROOT = Path(os.environ.get("IBSTREAM_DATA_ROOT", "data"))
latest: dict[str, Any] = {"status": "unknown"}
ended = threading.Event()


def follow_status() -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.linger = 0
        subscriber.connect(f"ipc://{os.environ.get('IBSTREAM_RUN_DIR', ROOT / 'run')}/supervisor.events")
        subscriber.subscribe(b"status")
        while not ended.is_set():
            if subscriber.poll(200):
                _, payload = subscriber.recv_multipart()
                latest.update(msgspec.msgpack.decode(payload))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    follower = threading.Thread(target=follow_status)
    follower.start()
    yield
    ended.set()
    follower.join()


app = FastAPI(lifespan=lifespan)


@app.get("/stream")
def stream() -> dict[str, Any]:
    return {name: latest.get(name) for name in ("status", "reason", "message", "subscribed_symbols", "good_until")}


@app.get("/price/{symbol}")
def price(symbol: str) -> dict[str, Any]:
    with ibstream.connect(ROOT) as client:
        try:
            quote = client.price(symbol)
        except ibstream.IbstreamError as error:
            raise HTTPException(503, {"reason": error.reason, "message": str(error)}) from None
    return {"symbol": quote.symbol, "last": quote.last, "source": quote.source, "good_until": quote.good_until}
