"""`stagekeeper doctor`: whether a set-up is well, from the files to HubSpot, each line with its cure."""

import textwrap
from collections.abc import Iterable, Sequence
from shutil import get_terminal_size

import click

from connector.cli.options import common, is_quiet, output, path_of_config
from connector.cli.render import print_json
from connector.diagnosis.check import Check
from connector.diagnosis.examination import examine
from connector.moments import system_clock
from connector.telemetry import configure_logging

_COLOURS = {"ok": "green", "warning": "yellow", "broken": "red"}
_INDENT = 10
_WIDEST = 200


@click.command("doctor")
@click.option("--portal", type=int, metavar="ID", help="Only this portal.")
@output()
@common
def command(portal: int | None, format_: str) -> int:
    """Examine configuration, rules, HubSpot and the database; each line says what was found, and the cure.

    Nothing is changed, in HubSpot or here. It works however broken things are. The exit code is 0 when nothing is
    broken (warnings do not count), 3 when files are invalid or do not fit the portal, 5 when HubSpot or the database
    cannot be reached or used.
    """
    configure_logging("console", "critical")  # what calls and queries tell of themselves is told here, once
    checks: list[Check] = []
    for check in examine(path_of_config(), clock=system_clock, only=portal):
        checks.append(check)
        if format_ == "text":
            _print(check)
    _sum_up(checks, format_)
    return max((check.exit_code for check in checks if check.state == "broken"), default=0)


def _print(check: Check) -> None:
    """Print a check as soon as it is made."""
    if is_quiet() and check.state == "ok":
        return
    name = check.id if check.portal is None else f"{check.portal} {check.id}"
    width = min(get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    click.secho(f"{check.state:<{_INDENT}}", fg=_COLOURS[check.state], nl=False)
    lines = [*_wrapped(f"{name}: {check.found}", width), *(_wrapped(f"→ {check.cure}", width) if check.cure else ())]
    click.echo(f"\n{' ' * _INDENT}".join(lines))


def _wrapped(text: str, width: int) -> Sequence[str]:
    return textwrap.wrap(text, max(width - _INDENT, 40), break_long_words=False, break_on_hyphens=False) or [""]


def _sum_up(checks: Iterable[Check], format_: str) -> None:
    states = [check.state for check in checks]
    numbers = {state: states.count(state) for state in ("ok", "warning", "broken")}
    if format_ == "json":
        listed = [check.as_data() for check in checks]
        print_json({"version": 1, "checks": listed, "broken": numbers["broken"], "warnings": numbers["warning"]})
        return
    warnings = f"{numbers['warning']} warning{'' if numbers['warning'] == 1 else 's'}"
    click.echo(f"{numbers['ok']} ok, {warnings}, {numbers['broken']} broken")
