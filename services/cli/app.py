"""`ibstream`: the command line. A client of the supervisor, the planner and the journal, like any other.

Each module of COMMANDS holds the command of its name, or several that it adds with `register(app)`; it imports what is
heavy inside its functions, so that every command starts fast. Every failure is one sentence on standard error with
its code, and an exit code of `messages.errors`; never a traceback.
"""

import errno
import importlib
import os
import sys
from typing import Annotated, Any, Final

import typer

from messages.errors import CODES, IbStreamError
from services.cli.output import open_streams

COMMANDS: Final = (
    "installed", "rehearse", "record", "stream", "price", "plan", "projects", "journal", "gaps", "quality", "alerts",
    "candles", "doctor", "find", "keys", "settings",
)  # fmt: skip

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
NOT_OURS: Final = (errno.EACCES, errno.EPERM, errno.EROFS)

HELP = """Live market data from Interactive Brokers, kept right.

[bold]ibstream run[/bold] (make run, honcho or systemd) runs the services; these commands talk to them. All settings are
environment variables that begin with IBSTREAM_; deploy/env.example lists them.

[dim]Examples:[/dim]

  ibstream run                            everything, until Ctrl-C

  ibstream status --watch                 every symbol, live

  ibstream price SPY                      one price, or why there is none to use

  ibstream stop                           end all subscriptions

  ibstream start --symbols SPY,QQQ        stream exactly these

  ibstream start --project 1              stream a project's latest decision snapshot

  ibstream plan --dry-run --project 1     what would be streamed, and why

  ibstream verify                         whether all that was recorded is there and whole

  ibstream at -5m SPY                     what the price was five minutes ago

  ibstream candles SPY --from -2h         what it traded, minute by minute

[dim]Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 busy, 4 and up: one for each error code.[/dim]
"""


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"ibstream {version('ibstream')}")
        raise typer.Exit


def build() -> typer.Typer:
    app = typer.Typer(
        name="ibstream",
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in COMMANDS:
        module: Any = importlib.import_module(f"services.cli.{name}")
        if hasattr(module, "register"):
            module.register(app)
        else:
            app.command()(getattr(module, name))
    return app


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def run(arguments: list[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    try:
        command: Any = typer.main.get_command(build())
        arguments = sys.argv[1:] if arguments is None else arguments
        code = command.main(arguments or ["--help"], prog_name="ibstream", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except IbStreamError as error:
        return _fail(error.message, error.code, error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader, such as `head`, has gone: nothing to say, and nobody to say it to
        return 1
    except UnicodeEncodeError as error:
        return _fail(f"{error.object!r} is no text in UTF-8", "invalid_request", CODES["invalid_request"].exit)
    except SystemExit as left:  # how the shell completion ends
        return left.code if isinstance(left.code, int) else 0
    except typer.Abort:
        return 130
    except OSError as error:
        if error.filename is None and error.errno in NO_ROOM:
            sentence = f"the output cannot be written: {error.strerror}"
            return _fail(sentence, "invalid_request", CODES["invalid_request"].exit)
        if error.filename is not None and error.errno in (*NO_ROOM, *NOT_OURS):
            sentence = f"{error.filename} cannot be used: {error.strerror}"
            return _fail(sentence, "invalid_setting", CODES["invalid_setting"].exit)
        return _fail(f"{type(error).__name__}: {error}", "internal_error", 1)
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is None:
            return _fail(f"{type(error).__name__}: {error}", "internal_error", 1)
        hint = "" if usage() == "" else f"{usage().rstrip('.')}. `ibstream --help` tells more"
        return _fail(hint, "invalid_request", CODES["invalid_request"].exit) if hint else 0  # a group alone: its help


def _fail(message: str, code: str, exit_code: int) -> int:
    sentence = " ".join(message.split())
    sys.stderr.write(f"ibstream: {sentence} [{code}]\n")
    return exit_code


def main() -> None:
    open_streams()
    code = run()
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os._exit(code or 1)  # said already: the interpreter would try once more, and say it with a trace
    raise SystemExit(code)


if __name__ == "__main__":
    main()
