"""`python -m tests.soak`: a soak of IBSTREAM_SOAK_SECONDS (1200), its figures as a table, and a verdict.

Exit codes: 0 all is well; 1 something leaked, was lost or did not heal, said in one sentence.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.run import Soak, soak
from tests.soak.table import table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    default = float(os.environ.get("IBSTREAM_SOAK_SECONDS") or 1200)
    parser.add_argument("--seconds", type=float, default=default, help="of trouble (default %(default)g)")
    parser.add_argument("--seed", type=int, default=3, help="of the trouble (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the files, also when all is well")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ibs-soak-"))
    print(f"a soak of {arguments.seconds:g} s, seed {arguments.seed}, in {folder}", flush=True)
    try:
        done = soak(folder, arguments.seconds, arguments.seed)
    except AssertionError as error:
        print("\n".join(getattr(error, "__notes__", [])), file=sys.stderr)
        print(f"FAILED, files in {folder}: {error}", file=sys.stderr)
        return 1
    print(table(done))
    return verdict(done, folder, arguments.keep)


def verdict(done: Soak, folder: Path, keep: bool) -> int:
    leaks = done.gauge.leaks()
    if leaks:
        print(f"LEAK, files in {folder}: {'; '.join(leaks)}", file=sys.stderr)
        return 1
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    print("flat, nothing lost, all healed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
