"""`ibstream run` and `ibstream simulate`: what `make run` and `python -m services.simulator` do, from the command
that a package brings."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

PROCFILE: Final = Path(__file__).parents[2] / "Procfile"


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
        simulate
    )


def run(
    procfile: Annotated[
        Path, typer.Argument(help="Which services, and how; the built-in one runs them all.")
    ] = PROCFILE,
) -> None:
    """Run everything until Ctrl-C: simulator, gateway, planner, sink, supervisor and page.

    Says at the start where its data is: IBSTREAM_DATA_ROOT, or a folder of the user's.
    """
    from services.cli.run import main

    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    raise typer.Exit(main([str(procfile)]))


def simulate(context: typer.Context) -> None:
    """The gateway simulator alone, for any IB client: `ibstream simulate --port 7497`; `--help` lists its options."""
    from services.simulator.service import main

    sys.argv[1:] = context.args
    raise typer.Exit(main())
