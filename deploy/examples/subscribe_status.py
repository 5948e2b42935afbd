"""Follow ibstream's status from another program: pyzmq and msgspec are all it needs.

python subscribe_status.py data/run
"""

import sys

import msgspec
import zmq

run_dir = sys.argv[1] if len(sys.argv) > 1 else "data/run"
context = zmq.Context()
subscriber = context.socket(zmq.SUB)
subscriber.connect(f"ipc://{run_dir}/supervisor.events")
subscriber.subscribe(b"status")  # a last-value topic: the current status comes at once

while True:
    topic, payload = subscriber.recv_multipart()
    status = msgspec.msgpack.decode(payload)
    print(status["status"], status["reason"] or "-", len(status["subscribed_symbols"]), "symbols", flush=True)
