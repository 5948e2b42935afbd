"""Command the stream over ZeroMQ, without ibstream's own client: `python control.py data/run start SPY QQQ`.

Commands: start [SYMBOL ...], stop, get_status. One msgpack map there, one back (messages/PROTOCOL.md).
"""

import sys

import msgspec
import zmq

run_dir, command, *symbols = sys.argv[1:]
message = {"type": command} | ({"symbols": symbols} if symbols else {})
with zmq.Context() as context, context.socket(zmq.REQ) as sock:
    sock.linger = 0
    sock.connect(f"ipc://{run_dir}/supervisor.control")
    sock.send(msgspec.msgpack.encode(message))
    if not sock.poll(5_000):
        sys.exit("the supervisor does not answer")
    reply = msgspec.msgpack.decode(sock.recv())
if reply["type"] == "failed":
    sys.exit(f"{reply['message']} [{reply['code']}]")
print(reply["status"]["status"] if reply["type"] == "status" else reply["type"])
