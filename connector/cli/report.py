"""`stagekeeper report`: what prospects may bring, who buys, and which rules decide."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import click
import sqlalchemy as sa

from connector.cli.options import common, output, portal_id, read_config, tell
from connector.cli.progress import ProgressBar
from connector.cli.render import print_json, print_table
from connector.cli.shadow_view import COLUMNS, LISTED_COLUMNS, listed_rows, print_agreement, rows_of
from connector.config import Config
from connector.errors import FilesInvalid, UsageError
from connector.moments import system_clock, write_moment
from connector.problems import is_broken
from connector.pruning import known_since
from connector.reports.forecast import Line, Sum
from connector.reports.reading import PortalForecast, PortalRules, forecast_of, rates_of, rules_of
from connector.reports.tally import Rate, Rates
from connector.rollout.run import pack_of
from connector.rulebook.checking import load_pack
from connector.rulebook.pack import Pack
from connector.services import open_services
from connector.shadow.agreement import agreement_of
from connector.store.engine import open_database, reading
from connector.telemetry import build_metrics

NO_STEP, NO_RULE, HOME = "(no step)", "(no rule)", "(home)"
_FORECAST = (
    "step", "prospects", "currency", "deals", "amount", "weighted", "without_amount", "without_probability",
)  # fmt: skip
_RATES = ("stage", "ever", "buy_now", "share")
_RULES = ("rule", "stage", "contacts", "share", "in_pack")
_PORTAL = click.option("--portal", type=int, metavar="ID", help="The portal; not needed when only one is configured.")


@click.group("report", invoke_without_command=True)
@_PORTAL
@output()
@common
@click.pass_context
def command(context: click.Context, portal: int | None, format_: str) -> None:
    """Report on a portal; nothing is written, neither in HubSpot nor here.

    Without the name of a report: forecast, rates and rules, one after the other.
    """
    if context.invoked_subcommand is not None:
        if portal is not None or format_ != "text":
            raise UsageError(f"write options behind the name: stagekeeper report {context.invoked_subcommand} …")
        return
    config, portal = _begin(portal)
    if format_ == "json":
        _print_all_as_json(config, portal)
    else:
        for number, each in enumerate((forecast, rates, rules)):
            click.echo(("\n" if number else "") + f"{each.name}:")
            context.invoke(each, portal=portal, format_=format_)


def _print_all_as_json(config: Config, portal: int) -> None:
    with ProgressBar() as progress:
        open_deals = _read_forecast(config, portal, progress)
        buyers = rates_of(open_database(config.database), portal, progress)
    pack, counted = _read_rules(config, portal)
    print_json({
        **_head("all", portal), "forecast": _forecast_data(open_deals), "rates": _rates_data(buyers),
        "rules": _rules_data(counted, pack.name, pack.hash),
    })  # fmt: skip


@command.command("forecast")
@_PORTAL
@output("csv")
@common
def forecast(portal: int | None, format_: str) -> None:
    """Sum the open deals of prospects by the step of the sale that was accepted last.

    Prospects are the contacts that Stagekeeper has in the stage "prospect", nobody else; their steps
    (sk_accepted_step) and deals are read from HubSpot as they are now. A deal that is won or lost does not count, one
    of two prospects counts once, with the one who is further on. "weighted" is the amount times the probability, of
    the deal or else of its stage. Currencies are summed apart. In CSV, the number of prospects stands in the first line
    of each step, and the lines of "total" come last.
    """
    config, portal = _begin(portal)
    with ProgressBar() as progress:
        found = _read_forecast(config, portal, progress)
    if format_ == "json":
        print_json({**_head("forecast", portal), **_forecast_data(found)})
    elif format_ == "csv":
        _print_csv(_FORECAST, [row for line in _lines(found) for row in _forecast_rows(*line)])
    else:
        rows = [row for line in _lines(found) for row in _forecast_rows(*line, money="{:,.2f}")]
        _print_numbers([name.replace("_", " ") for name in _FORECAST], rows, numbers=(1, 3, 4, 5, 6, 7))
    _tell_gaps(found)


@command.command("rates")
@_PORTAL
@output("csv")
@common
def rates(portal: int | None, format_: str) -> None:
    """Count who ever was a lead or a prospect, and how many of them buy now; the closing rate is that of prospects.

    Somebody buys whose lifecycle stage was customer or evangelist when last looked at, or of whom the last decision
    says so (the fact "customer" or "client"). Contacts that were merged count as one.
    """
    config, portal = _begin(portal)
    engine = open_database(config.database)
    with ProgressBar() as progress:
        found = rates_of(engine, portal, progress)
    each = (found.lead, found.prospect)
    since = _known_since(engine, portal)
    if format_ == "json":
        print_json({**_head("rates", portal), "known_since": since, **_rates_data(found)})
    elif format_ == "csv":
        _print_csv(_RATES, [(rate.stage, rate.ever, rate.buy_now, _plain(rate.share)) for rate in each])
    else:
        rows = [(rate.stage, rate.ever, rate.buy_now, _percent(rate.share)) for rate in each]
        _print_numbers(("ever", "contacts", "buy now", "share"), rows, numbers=(1, 2, 3))
        click.echo(f"closing rate {_percent(found.closing_rate)}")
    if since:
        tell(f"decisions are known since {since}; of older ones, each contact's last alone")


@command.command("rules")
@_PORTAL
@output("csv")
@common
def rules(portal: int | None, format_: str) -> None:
    """Count of how many contacts each rule of the portal's pack is the present reason.

    Rules that never won stand there with 0; rules that only earlier versions of the pack had come last.
    """
    config, portal = _begin(portal)
    pack, found = _read_rules(config, portal)
    if format_ == "json":
        print_json({**_head("rules", portal), **_rules_data(found, pack.name, pack.hash)})
    elif format_ == "csv":
        rows = [(r.rule, r.stage, r.contacts, _plain(r.share), str(r.in_pack).lower()) for r in found.rules]
        _print_csv(_RULES, rows)
    else:
        texts = [
            (r.rule or NO_RULE, (r.stage or "none") if r.in_pack else "", r.contacts, _percent(r.share),
             r.because if r.in_pack else "not a rule of this pack")
            for r in found.rules
        ]  # fmt: skip
        _print_numbers(("rule", "stage", "contacts", "share", "because"), texts, numbers=(2, 3))
    if found.by_other_version:
        tell(f"{found.by_other_version} of {found.contacts} contacts were decided by another version of the pack")


@command.command("shadow")
@_PORTAL
@click.option("--contacts", "listed", is_flag=True, help="List the contacts about whom the two differ now.")
@output("csv")
@common
def shadow(portal: int | None, listed: bool, format_: str) -> None:
    """Say how the candidate pack (`shadow:` of the portal) agrees with the live one, and wherein it does not.

    Of each contact the last decision counts: stage, status, and the values that are set. What was due by one of the two
    alone (tasks, deals) is summed over all decisions since the candidate began. What HubSpot holds does not count: that
    follows the live pack alone.
    """
    config, portal = _begin(portal)
    settings = config.portal(portal)
    if settings is None or settings.shadow is None:
        cure = "name a candidate pack in the configuration, as in `shadow: rules/candidate.yaml`"
        raise UsageError(f"portal {portal} has no `shadow`; {cure}")
    live, candidate = pack_of(settings.rules), pack_of(settings.shadow)
    engine = open_database(config.database)
    with ProgressBar() as progress:
        found = agreement_of(engine, portal, candidate.hash, progress)
    since = _known_since(engine, portal)
    if format_ == "json":
        packs = {"pack": live.name, "pack_hash": live.hash}
        other = {"candidate": candidate.name, "candidate_hash": candidate.hash}
        known = {"known_since": since}
        print_json({**_head("shadow", portal), **packs, **other, **known, **found.as_data(listed=listed)})
    elif format_ == "csv":
        _print_csv(*((LISTED_COLUMNS, listed_rows(found.listed())) if listed else (COLUMNS, rows_of(found))))
    else:
        print_agreement(found, live, candidate, portal=portal, listed=listed)
    if since:
        tell(f"decisions are known since {since}; what was due by one of the two before is not counted")


def _begin(portal: int | None) -> tuple[Config, int]:
    """Read the configuration and find the portal; the client's log must not stand among the results."""
    config = read_config()
    return config, portal_id(config, portal)


def _read_forecast(config: Config, portal: int, progress: ProgressBar) -> PortalForecast:
    services = open_services(config, metrics=build_metrics())
    return forecast_of(services.engine, services.portals[portal].hubspot, progress)


def _read_rules(config: Config, portal: int) -> tuple[Pack, PortalRules]:
    named = config.portal(portal)
    pack, problems = load_pack(named.rules) if named else (None, [])
    if pack is None or is_broken(problems):
        raise FilesInvalid(problems)
    return pack, rules_of(open_database(config.database), portal, pack)


def _known_since(engine: sa.Engine, portal: int) -> str | None:
    """Say since when no decision is missing; None: none was ever removed."""
    with reading(engine) as connection:
        moment = known_since(connection, portal)
    return None if moment is None else write_moment(moment)


def _head(report: str, portal: int) -> dict[str, Any]:
    return {"version": 1, "report": report, "portal": portal, "at": write_moment(system_clock())}


# --- forecast ---------------------------------------------------------------------------------------------------------


def _lines(found: PortalForecast) -> Iterator[tuple[str, Line]]:
    yield from ((line.step or NO_STEP, line) for line in found.forecast.lines)
    yield "total", found.forecast.total


def _forecast_rows(name: str, line: Line, money: str = "{:.2f}") -> Iterator[tuple[object, ...]]:
    """Give the rows of a line, one for each currency; the number of prospects stands in the first."""
    for number, each in enumerate(line.sums or (Sum(currency=""),)):
        yield (
            name, None if number else line.prospects, (each.currency or HOME) if line.sums else None, each.deals,
            money.format(each.amount), money.format(each.weighted), each.without_amount, each.without_probability,
        )  # fmt: skip


def _forecast_data(found: PortalForecast) -> dict[str, Any]:
    return {
        "steps": [{"step": line.step, **_line_data(line)} for line in found.forecast.lines],
        "total": _line_data(found.forecast.total),
        "prospects_not_in_hubspot": found.absent,
    }


def _line_data(line: Line) -> dict[str, Any]:
    sums = [
        {
            "currency": each.currency or None, "deals": each.deals, "amount": f"{each.amount:.2f}",
            "weighted": f"{each.weighted:.2f}", "without_amount": each.without_amount,
            "without_probability": each.without_probability,
        }
        for each in line.sums
    ]  # fmt: skip
    return {"prospects": line.prospects, "deals": line.deals, "sums": sums}


def _tell_gaps(found: PortalForecast) -> None:
    """Say what the sums leave out."""
    sums = found.forecast.total.sums
    gaps = {
        "open deals have no amount, or none that can be read": sum(each.without_amount for each in sums),
        "open deals have no probability, nor has their stage": sum(each.without_probability for each in sums),
        "prospects are no longer in HubSpot and were left out": found.absent,
    }
    for text, number in gaps.items():
        if number:
            tell(f"{number} {text}")


# --- rates and rules --------------------------------------------------------------------------------------------------


def _rates_data(found: Rates) -> dict[str, Any]:
    def data(rate: Rate) -> dict[str, Any]:
        return {"stage": rate.stage, "ever": rate.ever, "buy_now": rate.buy_now, "share": rate.share}

    return {"rates": [data(found.lead), data(found.prospect)], "closing_rate": found.closing_rate}


def _rules_data(found: PortalRules, pack: str, pack_hash: str) -> dict[str, Any]:
    counted = [
        {
            "rule": each.rule or None, "stage": each.stage, "contacts": each.contacts, "share": each.share,
            "in_pack": each.in_pack, "because": each.because or None,
        }
        for each in found.rules
    ]  # fmt: skip
    return {
        "pack": pack, "pack_hash": pack_hash, "contacts": found.contacts,
        "decided_by_other_version": found.by_other_version, "rules": counted,
    }  # fmt: skip


# --- printing ---------------------------------------------------------------------------------------------------------


def _print_csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print CSV with its header; what is not known is an empty field."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    click.echo(text.getvalue(), nl=False)


def _print_numbers(headings: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[int]) -> None:
    """Print a table with these columns flush right."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in [headings, *rows]]
    for column in numbers:
        width = max(len(row[column]) for row in texts)
        for row in texts:
            row[column] = row[column].rjust(width)
    print_table(texts[0], texts[1:])


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _plain(share: float | None) -> str:
    return "" if share is None else f"{share:.4f}"
