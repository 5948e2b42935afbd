"""The relay: streams of this machine to NATS JetStream, and streams of another machine from there.

One process a machine, a client of the bus like any other; see deploy/scale.md for what it is for.

    names.py      which streams go where, and what they are called there
    engine.py     the connection to NATS, in a thread of its own
    sender.py     one stream of this machine, from its journal to JetStream
    receiver.py   one stream of another machine, from JetStream to a mirror
    mirror.py     a writer of another machine as this one sees it: replicas, live frames, heartbeats
    service.py    the loop that holds them together
"""
