"""`stagekeeper worker`: a worker alone, on this or another machine with the same database."""

import signal

import click

from connector.cli.options import common, read_config
from connector.parts import end_with_tree
from connector.services import open_services
from connector.telemetry import build_metrics, configure_logging
from connector.worker import Worker


@click.command("worker")
@common
def command() -> None:
    """Work off the inbox until told to stop (SIGTERM or Ctrl-C); the claim in hand is finished first."""
    config = read_config()
    configure_logging(config.log.format, config.log.level)
    worker = Worker(open_services(config, metrics=build_metrics()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    end_with_tree()
    worker.run()
