"""Options that several commands have, under one name and with one meaning."""

from typing import Annotated

import typer

FromOption = Annotated[
    str | None, typer.Option("--from", help="From this time on: 2026-01-05, 2026-01-05T14:30:00Z, 14:30 (UTC), -2h.")
]
ToOption = Annotated[str | None, typer.Option("--to", help="Before this time.")]
