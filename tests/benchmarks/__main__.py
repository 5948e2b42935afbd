"""`python -m tests.benchmarks [--short] [NAME ...]`: all benchmarks, or the named ones, one after another."""

import argparse
import importlib

NAMES = (
    "decode",
    "ways",
    "fold",
    "candles",
    "plan",
    "journal",
    "frames",
    "gateway",
    "latency",
    "end_to_end",
    "cost",
    "wakeups",
    "relay",
    "scale",
    "web",
    "client",
    "table",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmarks of ibstream: tables here, JSON in artifacts/bench.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--short", action="store_true", help="small sizes and few rounds: do they work at all?")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in arguments.names or NAMES:
        importlib.import_module(f"tests.benchmarks.{name}").main(arguments.short)


if __name__ == "__main__":
    main()
