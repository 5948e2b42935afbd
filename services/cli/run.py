"""`make run`: check the settings, also those in .env, say where things are, and run the Procfile until Ctrl-C.

A thin skin around honcho, for three things that it does not do: settings are checked before anything starts; the
line of the gateway runs once for each of several, with its name; and an end by Ctrl-C or SIGTERM, once every process
has gone, is a good end (exit 0).
"""

import os
import sys
from pathlib import Path

from honcho import environ
from honcho.manager import Manager

from messages.errors import IbStreamError
from messages.topics import sharded
from services.base.settings import load
from services.cli.settings import summary_text

ASKED_TO_END = (130, 143)  # honcho's codes for SIGINT and SIGTERM


def main(arguments: list[str]) -> int:
    procfile = Path(arguments[0] if arguments else "Procfile")
    env = dict(os.environ)
    dot_env = Path(".env")
    if dot_env.exists():
        env.setdefault("IBSTREAM_ENV_FILE", str(dot_env.absolute()))
    try:
        settings = load(env)
    except IbStreamError as error:
        sys.stderr.write(f"ibstream: {error.message} [{error.code}]\n")
        return error.exit_code
    print(summary_text(settings), flush=True)  # noqa: T201
    manager = Manager()
    for name, command in environ.parse_procfile(procfile.read_text()).processes.items():
        for gateway in settings.gateway_names if name == "gateway" else ("",):
            manager.add_process(sharded(name, gateway), f"{command} {gateway}".rstrip(), env=env)
    manager.loop()
    return 0 if manager.returncode in ASKED_TO_END else int(manager.returncode)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
