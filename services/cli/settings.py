"""`ibstream settings`: every setting, what it is, and whether the environment is right. Starts nothing."""

from typing import Annotated

import typer

from services.cli import output as tools
from services.cli.table import Table

ENV_HEAD = """\
# The settings of ibstream, each with its default. Copy this to .env beside the Procfile, or name it as systemd's
# EnvironmentFile, and take the # from the lines that you change. `ibstream settings` shows what is in force.
# This file is written by `ibstream settings --env`.
"""


def settings(
    env: Annotated[bool, typer.Option("--env", help="Write a file of all settings with their defaults.")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="Only where things are.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Name, value and default of each, as JSON.")] = False,
) -> None:
    """Show every setting with its value, and check them all: exit 2 names the first that is wrong.

    [dim]Example:[/dim]  ibstream settings --env > .env
    """
    if env:
        typer.echo(env_file(), nl=False)
        return
    where = tools.settings()
    if summary:
        from services.cli.summary import summary_text

        typer.echo(summary_text(where))
        return
    from services.base.settings import HELP, PREFIX, SECRETS, Settings

    defaults = Settings()
    values = {field: "***" if field in SECRETS and getattr(where, field) else getattr(where, field) for field in HELP}
    if json:
        tools.print_json(
            {
                PREFIX + field.upper(): {"value": value, "default": getattr(defaults, field), "help": HELP[field]}
                for field, value in values.items()
            }
        )
        return
    table = Table("setting", "value", "why", wraps=True)
    for field, value in values.items():
        shown = tools.styled(_text(value), "bold" if value != getattr(defaults, field) else None)
        table.add_row(PREFIX + field.upper(), shown, tools.styled(HELP[field], "dim"))
    tools.console().print(
        f"from the environment{f' and from {where.env_file}' if where.env_file else ''}:", markup=False
    )
    tools.console().print(table)


def env_file() -> str:
    """The content of deploy/env.example."""
    from services.base.settings import HELP, PREFIX, Settings, expectation

    defaults = Settings()
    parts = [ENV_HEAD]
    for field, text in HELP.items():
        parts.append(f"# {text}\n# {expectation(field)}\n#{PREFIX}{field.upper()}={_text(getattr(defaults, field))}\n")
    return "\n".join(parts)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
