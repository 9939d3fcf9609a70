"""The page Rules: the live pack as a document, how often each rule wins, which never did, where a candidate differs.

What is counted over all contacts is counted once in five minutes at the most; disagreements are those of the newest
records that hold any, so that the page is as quick with ten million records as with ten.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import flask
import sqlalchemy as sa

from connector.config import Portal
from connector.days import LONGEST
from connector.moments import MINUTE
from connector.reports.reading import rules_of
from connector.rulebook.pack import Pack
from connector.store.engine import reading
from connector.store.tables import effects, records
from connector.web.days import Period
from connector.web.document import Chapter, chapters_of, facts_of
from connector.web.layout import Counted, Page, Site, chosen_portal, render

_COUNTED_ANEW_AFTER = 5 * MINUTE
_MOST_DIFFERING = 1_000
_LISTED = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleCounts:
    """How often rules win: of how many contacts each is the reason, and how many effects each has had."""

    at: int
    contacts: Mapping[str, int]
    effects: Mapping[str, int]
    total: int
    by_other_version: int
    former: Mapping[str, int]
    """Rules that are no longer in the pack and still the reason of some contacts."""

    def of(self, chapter: str, rule: str) -> int | None:
        """Give the number of a rule; None for sections that keep no count."""
        if chapter == "stages":
            return self.contacts.get(rule, 0)
        return self.effects.get(rule, 0) if chapter in ("tasks", "cadences", "actions") else None

    def never(self, chapters: Sequence[Chapter], won: Mapping[str, int]) -> list[tuple[str, str]]:
        """Name the rules that never won or had an effect, each with its section; `won` says which did of late."""
        return [
            (chapter.name, one.id)
            for chapter in chapters
            for one in chapter.paragraphs
            if self.of(chapter.name, one.id) == 0 and not (chapter.name == "stages" and won.get(one.id))
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A decision that the candidate would have made otherwise."""

    contact: str
    decided_at: int
    live: str
    live_rule: str
    candidate: str
    candidate_rule: str
    differs: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Differences:
    """The newest disagreements, and what they come to."""

    counted: Counted
    pairs: Sequence[tuple[tuple[str, str], int]]
    newest: Sequence[Difference]


def _add(blueprint: flask.Blueprint, site: Site) -> None:
    counting = RuleCounting(site)

    def show() -> flask.Response:
        portal = chosen_portal(site, flask.request.args.get("portal"))
        pack = site.packs[portal.id]
        chapters = list(chapters_of(pack))
        counts = counting.of(portal.id, pack)
        period = site.days.latest(portal.id, LONGEST, site.zones.of(portal.id))
        won = wins(period)
        with reading(site.engine) as connection:
            found = differences(connection, portal.id) if portal.shadow is not None else None
        return render(
            "rules.html", portal=portal, pack=pack, facts=facts_of(pack), chapters=chapters, counts=counts,
            never=counts.never(chapters, won) if counts else [], differences=found, candidate=_name(portal),
            won=won, won_days=len(period.days),
        )  # fmt: skip

    blueprint.add_url_rule("/rules", view_func=show, endpoint="rules", methods=["GET"])


PAGE = Page(name="rules", path="/rules", title="Rules", add=_add)


def _name(portal: Portal) -> str:
    return portal.shadow.name if portal.shadow is not None else ""


class RuleCounting:
    """Counts by rule and remembers it for a while; thread-safe."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._counted: dict[int, RuleCounts] = {}
        self._lock = threading.Lock()

    def of(self, portal: int, pack: Pack) -> RuleCounts | None:
        """Give the counts of a portal; None when somebody else is counting for the first time."""
        now = self._site.clock()
        kept = self._counted.get(portal)
        is_old = kept is None or not 0 <= now - kept.at < _COUNTED_ANEW_AFTER
        if is_old and self._lock.acquire(blocking=False):
            try:
                kept = self._counted[portal] = count_by_rule(self._site.engine, portal, pack, now)
            finally:
                self._lock.release()
        return kept


def count_by_rule(engine: sa.Engine, portal: int, pack: Pack, now: int) -> RuleCounts:
    """Count of how many contacts each rule is the present reason, and how many effects each has had."""
    found = rules_of(engine, portal, pack)
    query = sa.select(effects.c.rule, sa.func.count()).where(effects.c.portal == portal).group_by(effects.c.rule)
    with reading(engine) as connection:
        had = {row[0]: row[1] for row in connection.execute(query)}
    return RuleCounts(
        at=now, contacts={one.rule: one.contacts for one in found.rules if one.in_pack}, effects=had,
        total=found.contacts, by_other_version=found.by_other_version,
        former={one.rule: one.contacts for one in found.rules if not one.in_pack and one.rule},
    )  # fmt: skip


def wins(period: Period) -> Mapping[str, int]:
    """Count the decisions of a period by the rule that made them."""
    found: Counter[str] = Counter()
    for day in period.days:
        for turn, number in day.turns.items():
            found[turn.rule] += number
    return found


def differences(connection: sa.Connection, portal: int) -> Differences:
    """List the newest decisions that a candidate would have made otherwise."""
    names = ("contact", "decided_at", "stage", "status", "rule", "shadow")
    query = (
        sa.select(*(records.c[name] for name in names))
        .where(records.c.portal == portal, records.c.shadow.is_not(None))
        .order_by(records.c.id.desc())
        .limit(_MOST_DIFFERING + 1)
    )
    found = [_difference(row) for row in connection.execute(query)]
    shown = found[:_MOST_DIFFERING]
    pairs = Counter((one.live_rule, one.candidate_rule) for one in shown)
    return Differences(
        counted=Counted(len(found), _MOST_DIFFERING), pairs=pairs.most_common(_LISTED), newest=shown[:_LISTED]
    )


def _difference(row: sa.Row[tuple[object, ...]]) -> Difference:
    other = row.shadow
    return Difference(
        contact=row.contact, decided_at=row.decided_at, live=_stand(row.stage, row.status),
        live_rule=row.rule or "none", candidate=_stand(other["stage"], other["status"]),
        candidate_rule=other["rule"] or "none", differs=", ".join(other["differs"]),
    )  # fmt: skip


def _stand(stage: str | None, status: str | None) -> str:
    return " ".join(filter(None, (stage or "none", status)))
