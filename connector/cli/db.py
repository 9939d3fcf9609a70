"""`stagekeeper db copy`: a database moves, mostly from SQLite to PostgreSQL."""

import click

from connector.cli.options import common, output, read_config, tell
from connector.cli.progress import ProgressBar
from connector.cli.render import print_json
from connector.store.copying import copy_database
from connector.store.engine import clock_of, open_database, password_in


@click.group("db")
@common
def command() -> None:
    """Move the database."""


@command.command("copy")
@click.option(
    "--to", "target", required=True, envvar="STAGEKEEPER_COPY_TO", metavar="URL",
    help="The other database, new or empty; also from $STAGEKEEPER_COPY_TO, where no list of processes shows it.",
)  # fmt: skip
@output()
@common
def copy(target: str, format_: str) -> None:
    """Copy everything from the configured database into another one: all of it or nothing, ids as they were.

    End `serve` and every `worker` first: it is refused (exit code 7) while any of them has either database open, as far
    as that can be told, while contacts are in a worker's hands, and when the target holds anything. What was copied is
    counted in both. Then write the new address under `database:` and start them again. What the source holds is left
    as it is.
    """
    config = read_config()
    source, other = open_database(config.database), open_database(target)
    with ProgressBar() as bar:
        copied = copy_database(source, other, now=clock_of(source)(), tell=bar)
    shown = other.url.render_as_string(hide_password=True) if password_in(target) else target
    if format_ == "json":
        print_json({"version": 1, "copied": dict(copied), "to": shown})
        return
    for table, rows in copied.items():
        click.echo(f"{rows:>12} {table}")
    tell(f"copied into {shown}; write it under `database:` of the configuration, and start `serve` again")
