"""`stagekeeper apply`: a plan is done exactly as it was shown, or refused."""

import time
from pathlib import Path

import click

from connector.cli.options import common, output, read_config, tell
from connector.cli.progress import ProgressBar
from connector.cli.render import print_json
from connector.config import Config, Portal
from connector.errors import Refused
from connector.moments import system_clock
from connector.rollout.application import SHOWN, Applied, NotAsPlanned, Tools, apply_plan, refuse_without_consent
from connector.rollout.document import PlanFile, read_plan
from connector.rollout.run import open_one, pack_of
from connector.rulebook.pack import Pack
from connector.telemetry import build_metrics


@click.command("apply")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--consent", is_flag=True, help="Apply it although it is beyond the safety limits.")
@click.option("--skip-changed", is_flag=True, help="Leave out contacts that have changed since, and do the others.")
@output()
@common
def command(plan: Path, consent: bool, skip_changed: bool, format_: str) -> int:
    """Do exactly what a plan of `stagekeeper plan --out` says, or refuse.

    Refused are a plan beyond the safety limits (more than a tenth of the contacts, more than five moves back, any
    erasure), a pack that is not the planned one any more, and contacts that have changed since. A run that was
    interrupted is simply started again.
    """
    read = read_plan(plan)
    config = read_config()
    portal = _portal(config, read)
    pack = _pack(read)
    refuse_without_consent(read, consent=consent)
    _tell_what_is_live(portal, pack)
    services = open_one(config, portal, pack, clock=system_clock, metrics=build_metrics())
    parts = services.portals[portal.id]
    with ProgressBar() as bar:
        tools = Tools(
            pipeline=parts.pipeline, recorder=parts.recorder, inbox=services.inbox, terms=parts.pipeline.terms(),
            now=system_clock, sleep=time.sleep, lease_ms=config.worker.lease, portal=portal.id, progress=bar,
        )  # fmt: skip
        applied = apply_plan(read, tools, skip_changed=skip_changed)
    print_json(applied.as_data()) if format_ == "json" else _print(applied)
    return NotAsPlanned.exit_code if applied.changed else 5 if applied.failed else 0


def _portal(config: Config, plan: PlanFile) -> Portal:
    known = {portal.id: portal for portal in config.portals}
    if plan.heading.portal not in known:
        named = ", ".join(map(str, known))
        raise Refused(f"{plan.path}: the plan is of portal {plan.heading.portal}; configured are {named}; plan again")
    portal = known[plan.heading.portal]
    if portal.mode != "live":
        raise Refused(f"portal {portal.id} is in shadow mode, in which nothing is written; set `mode: live` to apply")
    return portal


def _pack(plan: PlanFile) -> Pack:
    pack = pack_of(Path(plan.heading.pack_file))
    if pack.hash != plan.heading.pack_hash:
        raise NotAsPlanned(f"{plan.path}: {pack.file} has been changed since the plan was made; plan again")
    return pack


def _tell_what_is_live(portal: Portal, pack: Pack) -> None:
    live = pack_of(portal.rules)
    if live.hash != pack.hash:
        tell(
            f"note: portal {portal.id} runs by {portal.rules}, not by the planned {pack.file}; workers will decide by "
            "that again with the next event, so put the planned pack in its place"
        )


def _print(applied: Applied) -> None:
    before = f", {applied.done_before:,} were done already" if applied.done_before else ""
    click.echo(f"{applied.done:,} of {applied.planned:,} contacts done{before}")
    if applied.changed:
        named = ", ".join(applied.changed[:SHOWN])
        more = f" and {len(applied.changed) - SHOWN:,} more" if len(applied.changed) > SHOWN else ""
        click.secho(f"left, as they have changed since the plan: {named}{more}; plan again for them", fg="yellow")
    for contact, error in list(applied.failed.items())[:SHOWN]:
        click.secho(f"failed: contact {contact}: {error}", fg="red")
    if applied.failed:
        click.echo(f"{len(applied.failed):,} failed; apply again, or leave them to the worker")
