"""`stagekeeper worker`: a worker alone, on this or another machine with the same database."""

import signal

import click

from connector.cli.options import common, read_config
from connector.exposition import exposed
from connector.parts import end_with_tree, is_part
from connector.services import open_services, what_runs
from connector.summons import Summons
from connector.systemd import Supervisor
from connector.telemetry import build_metrics, configure_logging
from connector.tracing import start_tracing
from connector.worker import Worker


@click.command("worker")
@common
def command() -> None:
    """Work off the inbox until told to stop (SIGTERM or Ctrl-C): the claim in hand is finished first.

    SIGHUP reads the rules anew.
    """
    config = read_config()
    configure_logging(config.log.format, config.log.level)
    start_tracing("worker")
    metrics = build_metrics()
    services = open_services(config, metrics=metrics)
    summons = Summons()
    worker = Worker(services, summons=summons, supervisor=Supervisor())
    summons.listen()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    end_with_tree()
    tokens = [one.get_secret_value() for one in (config.server.ops_token, config.server.read_token) if one]
    bind = None if is_part() else config.worker.metrics
    with exposed(metrics, bind, tokens=tokens, running=lambda: what_runs(worker.packs())):
        worker.run()
