"""`stagekeeper reconcile`: contacts whose webhooks were missed are found and let wait."""

import time
from collections.abc import Sequence
from typing import Any

import click

from connector.cli.options import common, output, portal_id, read_config, tell
from connector.cli.progress import ProgressBar
from connector.cli.render import print_json, print_table
from connector.errors import Refused, StagekeeperError, UsageError
from connector.moments import read_moment, write_moment
from connector.reconciliation.reconciliation import Reconciliation, Report, Scope
from connector.reconciliation.watermarks import Turn
from connector.services import PortalServices, open_services
from connector.telemetry import build_metrics

_PATIENCE_S = 20
_LOOK_S = 0.5


@click.command("reconcile")
@click.option("--portal", type=int, metavar="ID", help="Only this portal.")
@click.option("--since", metavar="DATE", help="Look at what changed since a date or moment, such as 2026-03-02.")
@click.option("--all", "everything", is_flag=True, help="List every contact of the portal instead of searching.")
@click.option("--dry-run", "trial", is_flag=True, help="Say what would be found; change nothing.")
@output()
@common
def command(portal: int | None, since: str | None, everything: bool, trial: bool, format_: str) -> int:
    """Find contacts whose webhooks were missed, and put them into the inbox, where a worker looks at them.

    Asks HubSpot which contacts have changed since the last time, and the companies and deals that the rules read;
    whoever is unknown here, or whose rule inputs are not those of the last look, is looked at. `serve` and `worker` do
    this by themselves (`worker.reconcile_every`). With --all, every contact is compared, and those that were deleted
    are found too: use it for a portal that has just been connected. Contacts that were erased here are left out.
    """
    scope = Scope(since=_moment(since), everything=everything, trial=trial)
    if everything and since is not None:
        raise UsageError("--all looks at every contact, --since at some; expected one of them")
    config = read_config()
    chosen = [portal_id(config, portal)] if portal is not None else [one.id for one in config.portals]
    services = open_services(config, metrics=build_metrics())
    reports: list[Report] = []
    failures: dict[int, StagekeeperError] = {}
    for one in chosen:
        try:
            reports.append(_reconciled(services.portals[one], scope))
        except StagekeeperError as error:  # the other portals are no worse for it
            failures[one] = error
    _print(reports, failures, scope, format_)
    return max((error.exit_code for error in failures.values()), default=0)


def _moment(text: str | None) -> int | None:
    found = read_moment(text) if text is not None else None
    if text is not None and found is None:
        raise UsageError(f"--since is {text!r}; expected a date (UTC) or a moment, as in 2026-03-02T09:00Z")
    return found[0] if found else None


def _reconciled(portal: PortalServices, scope: Scope) -> Report:
    reconciliation = portal.reconciliation
    if scope.trial:
        with ProgressBar() as progress:
            return reconciliation.run(scope, None, progress=progress)
    turn = _turn(reconciliation)
    try:
        with ProgressBar() as progress:
            report = reconciliation.run(scope, turn, progress=progress)
        if scope == Scope():
            reconciliation.watermarks.end(turn)
        return report
    finally:
        reconciliation.watermarks.give_up(turn)  # nothing, when it has ended


def _turn(reconciliation: Reconciliation) -> Turn:
    """Take the portal's turn, waiting for whoever has it, though not for long."""
    for attempt in range(int(_PATIENCE_S / _LOOK_S)):
        turn = reconciliation.watermarks.begin(reconciliation.portal)
        if turn is not None:
            return turn
        if attempt == 0:
            tell(f"portal {reconciliation.portal} is being reconciled; waiting for that to end")
        time.sleep(_LOOK_S)
    found = f"portal {reconciliation.portal} is being reconciled by another process"
    raise Refused(f"{found}; expected it to end within {_PATIENCE_S} seconds; try again later")


def _print(
    reports: Sequence[Report], failures: dict[int, StagekeeperError], scope: Scope, format_: str
) -> None:
    if format_ == "json":
        failed = [{"portal": one, "error": error.code, "text": str(error)} for one, error in failures.items()]
        print_json({"version": 1, "dry_run": scope.trial, "portals": [*map(_as_data, reports), *failed]})
    elif reports:
        rows = [
            (r.portal, _listed(r), r.changed, r.unknown, r.gone, r.placed, f"{r.calls} ({r.searches} searches)")
            for r in reports
        ]
        print_table(("portal", _read(scope), "changed", "unknown", "gone", _placed(scope), "calls"), rows)
    for portal, error in failures.items():
        click.echo(f"error: {error.code}: portal {portal}: {error}", err=True)
    later = max((r.placed for r in reports), default=0)
    if later and not scope.trial:
        tell("a worker looks at them (`stagekeeper serve` or `stagekeeper worker`), a hundred contacts a second")


def _read(scope: Scope) -> str:
    return "read" if scope.everything else "modified"


def _placed(scope: Scope) -> str:
    return "would wait" if scope.trial else "put into the inbox"


def _listed(report: Report) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in report.modified.items())


def _as_data(report: Report) -> dict[str, Any]:
    return {
        "portal": report.portal, "modified": dict(report.modified), "changed": report.changed,
        "unknown": report.unknown, "gone": report.gone, "placed": report.placed, "calls": report.calls,
        "searches": report.searches,
        "watermark": None if report.watermark is None else write_moment(report.watermark),
    }  # fmt: skip
