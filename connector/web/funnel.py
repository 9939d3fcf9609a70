"""The page Funnel: contacts by stage and status now and over time, moves, how long stages last, and the forecast.

Every contact is counted for it along an index, once in five minutes at the most, whoever asks and however often; what
was decided before comes from the book of days. Going back from what is counted now, each day's
decisions give the day before.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import flask
import sqlalchemy as sa
from werkzeug.exceptions import BadRequest

from connector.days import Stand
from connector.headcount import headcount
from connector.moments import DAY, MINUTE, Clock
from connector.rulebook.pack import Pack
from connector.sankey import Flow, sankey
from connector.store.engine import reading
from connector.store.tables import contacts
from connector.web.charts import Series, areas
from connector.web.days import Period
from connector.web.forecasts import Forecasts, add_forecast
from connector.web.layout import Page, Site, chosen_portal, render
from connector.web.stands import in_order, mark_of, rank_of

PERIODS = (7, 30, 90)
FIRST_SEEN = "first seen"
_USUAL = 30
_COUNTED_ANEW_AFTER = 5 * MINUTE
Counts = Mapping[Stand, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """How many contacts stand there now, and which part of all that is."""

    stand: Stand
    mark: str
    number: int
    share: float
    before: int | None
    """How many stood there when the period began, if that is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stay:
    """How long contacts had been in a stage when they left it."""

    stage: str
    mark: str
    number: int
    median: int
    ninth: int
    """Nine of ten had left by then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """What a period comes to."""

    decisions: int
    first_seen: int
    forward: int
    backward: int


def _add(blueprint: flask.Blueprint, site: Site) -> None:
    counting, forecasts = Counting(site.engine, site.clock), Forecasts(site)

    def show() -> flask.Response:
        portal = chosen_portal(site, flask.request.args.get("portal"))
        number = _period(flask.request.args.get("days"))
        pack = site.packs[portal.id]
        period = site.days.latest(portal.id, number, site.zones.of(portal.id))
        at, counted = counting.of(portal.id)
        now = dict(counted)
        flows = list(moves(period, pack.ladder))
        return render(
            "funnel.html", at=at, portal=portal, days=number, periods=PERIODS, period=period, sums=sums(period, pack),
            total=sum(now.values()), shares=list(shares(now, period, pack)), chart=_chart(now, period, pack),
            picture=sankey(flows, order=[FIRST_SEEN, "none", *pack.ladder], title=f"Moves of the last {number} days"),
            flows=sorted(flows, key=lambda flow: -flow.number), stays=list(stays(period, pack)),
            forecast=forecasts.of(portal.id), none=FIRST_SEEN,
        )  # fmt: skip

    blueprint.add_url_rule("/funnel", view_func=show, endpoint="funnel", methods=["GET"])
    add_forecast(blueprint, site, forecasts)


PAGE = Page(name="funnel", path="/funnel", title="Funnel", add=_add)


def _period(text: str | None) -> int:
    if text is None:
        return _USUAL
    if text not in map(str, PERIODS):
        raise BadRequest(f"A period is {', '.join(map(str, PERIODS[:-1]))} or {PERIODS[-1]} days long.")
    return int(text)


class Counting:
    """Counts contacts and remembers it for a while; thread-safe."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._counted: dict[int, tuple[int, Counts]] = {}
        self._lock = threading.Lock()

    def of(self, portal: int) -> tuple[int | None, Counts]:
        """Give when a portal's contacts were counted, and the counts; None when somebody else is counting."""
        now = self._clock()
        kept = self._counted.get(portal)
        is_old = kept is None or not 0 <= now - kept[0] < _COUNTED_ANEW_AFTER
        if is_old and self._lock.acquire(blocking=False):  # who comes meanwhile must not keep a thread from webhooks
            try:
                kept = self._counted[portal] = now, stage_counts(self._engine, portal)
            finally:
                self._lock.release()
        return kept or (None, {})


def stage_counts(engine: sa.Engine, portal: int) -> Counts:
    """Count contacts by stage and status."""
    with reading(engine) as connection:
        counted = headcount(connection, portal, contacts.c.stage, contacts.c.status)
    found: Counter[Stand] = Counter()
    for (stage, status), number in counted.items():
        found[Stand(stage or "", status or "")] += number
    return found


# --- what the numbers say ---------------------------------------------------------------------------------------------


def levels(now: Counts, period: Period) -> list[Counts]:
    """Say how many stood where at the end of each day before the period and within it, the earliest first."""
    level = Counter(now)
    found: list[Counts] = [dict(level)]
    for day in reversed(period.days):
        for turn, number in day.turns.items():
            level[turn.after] -= number
            if turn.before is not None:
                level[turn.before] += number
        level.update(day.gone)
        found.append({stand: number for stand, number in level.items() if number > 0})
    return found[::-1]


def shares(now: Counts, period: Period, pack: Pack) -> Iterator[Share]:
    """Say how many stand where, in the order of the ladder."""
    before = levels(now, period)[0] if period.is_whole else None
    total = sum(now.values())
    for stand in in_order({*now, *(before or {})}, pack.ladder):
        number = now.get(stand, 0)
        yield Share(
            stand=stand, mark=mark_of(stand, pack.ladder), number=number, share=number / total if total else 0.0,
            before=None if before is None else before.get(stand, 0),
        )  # fmt: skip


def sums(period: Period, pack: Pack) -> Sums:
    """Sum a period up."""
    forward = backward = first = 0
    for flow, number in _stage_moves(period):
        before, after = flow
        if before is None:
            first += number
        elif rank_of(after, pack.ladder) > rank_of(before, pack.ladder):
            forward += number
        else:
            backward += number
    decisions = sum(day.decisions for day in period.days)
    return Sums(decisions=decisions, first_seen=first, forward=forward, backward=backward)


def moves(period: Period, ladder: Sequence[str]) -> Iterator[Flow]:
    """Give the moves from stage to stage, and where those began who were decided about for the first time."""
    for (before, after), number in _stage_moves(period):
        is_back = before is not None and rank_of(after, ladder) < rank_of(before, ladder)
        mark = "backward" if is_back else mark_of(Stand(after, ""), ladder)
        shown = FIRST_SEEN if before is None else before or "none"
        yield Flow(before=shown, after=after or "none", number=number, mark=mark)


def stays(period: Period, pack: Pack) -> Iterator[Stay]:
    """Say how long stages lasted for those who left them."""
    found: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for day in period.days:
        for (stage, length), number in day.stays.items():
            found[stage][length] += number
    for stand in in_order({Stand(stage, "") for stage in found}, pack.ladder):
        lengths = found[stand.stage]
        yield Stay(
            stage=stand.stage, mark=mark_of(stand, pack.ladder), number=lengths.total(),
            median=percentile(lengths, 50), ninth=percentile(lengths, 90),
        )  # fmt: skip


def percentile(lengths: Mapping[int, int], percent: int) -> int:
    """Give the smallest of lengths, each there so many times, that so many of a hundred do not exceed."""
    wanted, reached = -(-sum(lengths.values()) * percent // 100), 0
    for length in sorted(lengths):
        reached += lengths[length]
        if reached >= wanted:
            return length
    return 0


def _stage_moves(period: Period) -> Iterator[tuple[tuple[str | None, str], int]]:
    found: Counter[tuple[str | None, str]] = Counter()
    for day in period.days:
        for turn, number in day.turns.items():
            before = None if turn.before is None else turn.before.stage
            if before != turn.after.stage:
                found[before, turn.after.stage] += number
    yield from found.items()


def _chart(now: Counts, period: Period, pack: Pack) -> str:
    found = levels(now, period)
    series = [
        Series(name=str(stand), mark=mark_of(stand, pack.ladder), values=[level.get(stand, 0) for level in found])
        for stand in in_order({stand for level in found for stand in level}, pack.ladder)
    ]
    title = f"Contacts by stage and status, day by day, over {len(period.days)} days"
    return areas(series, _ticks(period), title=title)


def _ticks(period: Period) -> list[str]:
    """Name about six of the days."""
    if not period.days:
        return []
    ends = [period.days[0].begins, *(day.ends for day in period.days)]
    every = max(len(period.days) // 6, 1)
    last = len(ends) - 1
    return [
        _day_name(end - DAY // 2) if (last - place) % every == 0 and (place or last < 9) else ""
        for place, end in enumerate(ends)
    ]


def _day_name(moment: int) -> str:
    """Name the day that ends half a day later; noon is the same day in nearly every zone."""
    return f"{datetime.fromtimestamp(moment / 1_000, UTC):%-d %b}"
