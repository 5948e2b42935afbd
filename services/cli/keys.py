"""`ibstream keys`: who may connect to the tcp endpoints, and with which role."""

from typing import Annotated

import typer

from messages.errors import IbStreamError
from services.cli import output as tools
from services.cli.table import Table


def register(app: typer.Typer) -> None:
    keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys of tcp endpoints.")
    keys.command("make")(make)
    keys.command("list")(show)
    keys.command("revoke")(revoke)
    app.add_typer(keys, name="keys")


def make(
    name: Annotated[str, typer.Argument(help="A word for whoever will hold the key, such as `riskbox`.")],
    role: Annotated[str, typer.Option(help="data: subscribe and replay; control: start and stop as well.")] = "data",
    json: Annotated[bool, typer.Option("--json", help="As JSON, with the paths of the two files.")] = False,
) -> None:
    """Make a key and allow it. Prints where its secret is; copy that, and server.key, to the other machine.

    [dim]Example:[/dim]

      ibstream keys make riskbox --role data
    """
    from services.base import keys

    if role not in keys.ROLES:
        raise IbStreamError("invalid_request", f"{role!r} is no role; expected {' or '.join(keys.ROLES)}")
    where = tools.settings().keys_path
    secret = keys.make(where, name, role)
    server = where / "server.key"
    if json:
        made = next(key for key in keys.allowed(where) if key.name == name)
        tools.print_json(made._asdict() | {"secret_file": str(secret), "server_key_file": str(server)})
        return
    typer.echo(f"{role} key {name}: secret {secret}, server's public key {server}")


def show(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """List the keys that may connect."""
    from services.base import keys

    found = keys.allowed(tools.settings().keys_path)
    if json:
        tools.print_json([key._asdict() for key in found])
        return
    if not found:
        typer.echo("no key may connect; `ibstream keys make NAME` makes one")
        return
    table = Table("name", "role", "public key")
    for key in found:
        table.add_row(key.name, key.role, key.public)
    tools.console().print(table)


def revoke(name: Annotated[str, typer.Argument(help="The key's name.")]) -> None:
    """Take a key's permission away. Within two seconds connections that are open with it end, and it gets in no
    more; the others are back within another."""
    from services.base import keys

    keys.revoke(tools.settings().keys_path, name)
    typer.echo(f"{name} may not connect any more")
