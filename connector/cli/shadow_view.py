"""How the agreement of a candidate with the live pack looks on a terminal, and as rows."""

from collections.abc import Sequence

import click

from connector.cli.options import tell
from connector.cli.render import print_table
from connector.moments import write_moment
from connector.rulebook.pack import Pack
from connector.shadow.agreement import MOST_LISTED, Agreement, Listed

COLUMNS = (
    "live_stage", "live_status", "live_rule", "candidate_stage", "candidate_status", "candidate_rule", "agrees",
    "contacts",
)  # fmt: skip
LISTED_COLUMNS = ("contact", "since", "differs", "live", "live_rule", "candidate", "candidate_rule")
_MOST_PAIRS = 20


def rows_of(found: Agreement) -> list[Sequence[object]]:
    """Give a row for each pair of answers."""
    return [
        (
            pair.live.stage, pair.live.status, pair.live.rule, pair.candidate.stage, pair.candidate.status,
            pair.candidate.rule, str(pair.agrees).lower(), number,
        )
        for pair, number in found.pairs.most_common()
    ]  # fmt: skip


def listed_rows(found: Sequence[Listed]) -> list[Sequence[object]]:
    """Give a row for each contact about whom the two differ now."""
    return [
        (
            one.contact, write_moment(one.since), " ".join(one.differs), str(one.pair.live), one.pair.live.rule,
            str(one.pair.candidate), one.pair.candidate.rule,
        )
        for one in found
    ]  # fmt: skip


def print_agreement(found: Agreement, live: Pack, candidate: Pack, *, portal: int, listed: bool) -> None:
    """Print how the two agree."""
    share = "–" if found.share is None else f"{found.share:.1%}"
    click.secho(
        f"portal {portal}: {candidate.name} {candidate.hash[:12]} beside {live.name} {live.hash[:12]}", bold=True
    )
    click.echo(f"{found.agree:,} of {found.contacts:,} contacts agree ({share})")
    click.echo(f"{found.decisions:,} decisions differed so far")
    if found.unjudged:
        tell(f"{found.unjudged:,} contacts have not been looked at by this candidate yet")
    if found.pairs:
        click.echo()
        rows = [(live_, other, f"{number:,}") for (live_, other), number in found.moves().most_common()]
        print_table(("live", "candidate", "contacts"), rows)
    pairs = found.rule_pairs().most_common(_MOST_PAIRS)
    if pairs:
        click.echo()
        print_table(
            ("rules that differ: live", "candidate", "contacts"), [(one, two, f"{n:,}") for (one, two), n in pairs]
        )
    if found.work:
        click.echo()
        work = [(kind.removesuffix("s"), rule, who, f"{n:,}") for (kind, rule, who), n in sorted(found.work.items())]
        print_table(("due", "rule", "only by the", "decisions"), work)
    if listed and (named := found.listed()):
        click.echo()
        print_table([name.replace("_", " ") for name in LISTED_COLUMNS], listed_rows(named))
        if len(named) == MOST_LISTED:
            tell(f"only the newest {MOST_LISTED:,} are listed")
