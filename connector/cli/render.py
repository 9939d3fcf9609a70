"""How values look on a terminal and as JSON; colour only on a terminal and never with NO_COLOR."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import orjson

from connector.problems import Problem


def print_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows in columns, as wide as the terminal; unshortened when the output goes elsewhere."""
    from rich.console import Console  # noqa: PLC0415 - slower to import than most commands run
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def counted_problems(problems: Iterable[Problem]) -> dict[str, int]:
    """Count problems by how severe they are."""
    found = [problem.severity for problem in problems]
    return {f"{severity}s": found.count(severity) for severity in ("error", "warning", "note")}
