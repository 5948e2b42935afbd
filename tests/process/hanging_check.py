"""A checker that says one thing, and more on stderr than a pipe holds, and never ends; with `noise` it says noise."""

import sys
import time

from messages.checks import Finding
from messages.codec import encode_json

if __name__ == "__main__":
    if "noise" in sys.argv:
        print("a library's warning")
        raise SystemExit
    sys.stdout.buffer.write(encode_json(Finding("address", "ok", "it resolves")) + b"\n")
    sys.stdout.flush()
    sys.stderr.write("a line\n" * 50_000)
    time.sleep(600)
