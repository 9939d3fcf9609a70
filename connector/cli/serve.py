"""`stagekeeper serve`: receiver, worker and web page in one process tree."""

import click

from connector.cli.options import common, path_of_config, read_config, tell
from connector.parts import end_with_tree
from connector.services import checked_packs
from connector.store.engine import open_database
from connector.telemetry import configure_logging


@click.command("serve")
@click.option("--no-worker", is_flag=True, help="Receiver and page only; workers run elsewhere.")
@click.option("--only", type=click.Choice(["receiver"]), hidden=True, help="Run one part in this process.")
@common
def command(no_worker: bool, only: str | None) -> int:
    """Run until told to stop (SIGTERM or Ctrl-C). A broken configuration or pack starts nothing and leaves with 3."""
    from connector.serving import Tree, check_address, part_command, run_receiver  # noqa: PLC0415 - brings the web server

    config = read_config()
    checked_packs(config)
    configure_logging(config.log.format, config.log.level)
    if only == "receiver":
        end_with_tree()
        run_receiver(config)
        return 0
    check_address(config.server.bind)
    open_database(config.database).dispose()  # migrates once, before the parts start
    path = path_of_config().resolve()
    parts = {"receiver": part_command(path, "serve", "--only", "receiver")}
    if not no_worker:
        parts["worker"] = part_command(path, "worker")
    tell(f"serving on http://{config.server.bind} (page: /, webhooks: /webhooks/hubspot)")
    return Tree(parts).run()
