"""`stagekeeper serve`: receiver, worker and web page in one process tree."""

import click

from connector.cli.options import common, path_of_config, read_config, tell
from connector.oauth.keyring import check_grants
from connector.packs import checked_packs
from connector.parts import end_with_tree
from connector.store.engine import clock_of, open_database
from connector.telemetry import configure_logging


@click.command("serve")
@click.option("--no-worker", is_flag=True, help="Receiver and page only; workers run elsewhere.")
@click.option("--only", type=click.Choice(["receiver"]), hidden=True, help="Run one part in this process.")
@click.option(
    "--forget-grants", is_flag=True, help="Start although OAuth tokens cannot be decrypted any more: those are removed."
)
@common
def command(no_worker: bool, only: str | None, forget_grants: bool) -> int:
    """Run until told to stop (SIGTERM or Ctrl-C); SIGHUP reads the rules anew.

    A broken configuration or pack starts nothing and leaves with 3.
    """
    from connector.serving import check_address, is_answering, run_receiver  # noqa: PLC0415 - brings the web server
    from connector.tree import Tree, part_command  # noqa: PLC0415 - as above

    config = read_config()
    checked_packs(config)
    configure_logging(config.log.format, config.log.level)
    if only == "receiver":
        end_with_tree()
        run_receiver(config)
        return 0
    check_address(config.server.bind)
    engine = open_database(config.database)  # migrates once, before the parts start
    check_grants(config, engine, clock_of(engine), forget=forget_grants)
    engine.dispose()
    path = path_of_config().resolve()
    parts = {"receiver": part_command(path, "serve", "--only", "receiver")}
    if not no_worker:
        parts["worker"] = part_command(path, "worker")
    tell(f"serving on http://{config.server.bind} (page: /, webhooks: /webhooks/hubspot)")
    return Tree(parts, is_ready=lambda: is_answering(config.server.bind)).run()
