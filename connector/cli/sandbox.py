"""`stagekeeper sandbox`: the practice HubSpot alone."""

import click

from connector.cli.options import common, tell
from connector.cli.practice import settle_practice
from connector.errors import StagekeeperError
from connector.sandbox import Sandbox, SandboxOptions, run
from connector.telemetry import configure_logging


class PortTaken(StagekeeperError):
    """The practice HubSpot cannot listen there."""

    code = "address-taken"


@click.command("sandbox")
@click.option("--port", type=click.IntRange(0, 65_535), default=9009, show_default=True, help="0 takes a free one.")
@click.option("--portal", type=int, default=4242, show_default=True, help="Its portal id.")
@click.option("--app-id", type=int, default=7001, show_default=True, help="The app whose writes come back as its own.")
@click.option("--access-token", default="pat-sandbox", show_default=True, help="The token that it takes.")
@click.option("--client-secret", default="sandbox-secret", show_default=True, help="Signs its webhooks.")
@click.option("--webhook-url", metavar="URL", help="Where its webhooks go; without one they are only counted.")
@click.option("--contacts", type=click.IntRange(0), default=25, show_default=True, help="Invented people at the start.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed invents the same people.")
@click.option("--latency-ms", type=click.IntRange(0), default=0, show_default=True, help="How long each call takes.")
@click.option("--calls-per-10s", type=click.IntRange(1), help="Rate limit; none by default.")
@click.option("--prepared", is_flag=True, help="With Stagekeeper's properties made, and filled in for its people.")
@common
def command(*, prepared: bool, contacts: int, seed: int, **given: object) -> None:
    """Run a practice HubSpot on this machine: contacts, companies, deals, tasks, webhooks, limits and faults.

    Point a portal's `api_url` at it. It is controlled under /sandbox/, as in /sandbox/state and /sandbox/faults.
    """
    options = SandboxOptions(contacts=0 if prepared else contacts, seed=seed, **given)  # type: ignore[arg-type]

    def begin(sandbox: Sandbox) -> None:
        if prepared:  # else it stays as it starts: a portal that has never heard of Stagekeeper
            configure_logging("console", "error")  # of the set-up that it gets nobody wants to read each call
            settle_practice(sandbox, people=contacts, seed=seed)
        tell(f"practice HubSpot on {sandbox.address} (portal {options.portal}); stop it with Ctrl-C")

    try:
        run(options, prepare=begin)
    except OSError as error:
        cure = "end what listens there, or name another port with --port (0 takes a free one)"
        raise PortTaken(f"{options.host}:{options.port}: {error.strerror or error}; {cure}") from error
