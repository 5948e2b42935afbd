"""`make run`: begin, or say in one sentence why not; then run the Procfile until Ctrl-C.

Settings (also those in .env), folders, ports and other runs are looked at before anything starts. The line of the
gateway runs once for each of several, with its name. An end by a signal, or because nobody reads the output any
more, is a good end (exit 0).
"""

import signal
import sys


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the launcher takes over: nothing runs yet, no trace to show
    from messages.errors import IbStreamError
    from services.cli.output import open_streams
    from services.cli.preflight import Preflight

    open_streams()

    try:
        ready = Preflight(arguments[0] if arguments else "Procfile")
    except IbStreamError as error:
        sys.stderr.write(f"ibstream: {error.message} [{error.code}]\n")
        return error.exit_code
    from services.cli.launcher import Launcher

    try:
        return Launcher(ready.commands, ready.env, banner=ready.summary).run()
    finally:
        ready.release()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
