"""Cursor: how far a consumer has come in a stream. Saved together with the state that belongs to it."""

import msgspec


class Cursor(msgspec.Struct, frozen=True):
    """How far a consumer has come in a stream: save it together with the state it belongs to."""

    epoch: int = 0
    seq: int = 0
