"""The page Funnel: how many contacts have each stage and status.

Every contact is counted for it, so that is done once in five minutes at the most, whoever asks and however often.
"""

import threading
from dataclasses import dataclass

import flask
import sqlalchemy as sa

from connector.moments import MINUTE
from connector.store.engine import reading
from connector.store.tables import contacts
from connector.web.layout import Page, Site, render

_COUNTED_ANEW_AFTER = 5 * MINUTE


@dataclass(frozen=True, kw_only=True, slots=True)
class StageCount:
    """How many contacts have a stage and status."""

    portal: int
    stage: str
    status: str
    number: int


def _add(blueprint: flask.Blueprint, site: Site) -> None:
    lock = threading.Lock()
    counted: list[tuple[int, list[StageCount]]] = []

    def show() -> flask.Response:
        now = site.clock()
        is_old = not counted or not 0 <= now - counted[0][0] < _COUNTED_ANEW_AFTER
        if is_old and lock.acquire(blocking=False):  # whoever comes meanwhile must not keep a thread from webhooks
            try:
                counted[:] = [(now, stage_counts(site))]
            finally:
                lock.release()
        at, stages = counted[0] if counted else (None, [])
        return render("funnel.html", at=at, stages=stages)

    blueprint.add_url_rule("/funnel", view_func=show, endpoint="funnel", methods=["GET"])


PAGE = Page(name="funnel", path="/funnel", title="Funnel", add=_add)


def stage_counts(site: Site) -> list[StageCount]:
    """Count contacts by stage and status."""
    query = (
        sa.select(contacts.c.portal, contacts.c.stage, contacts.c.status, sa.func.count().label("number"))
        .where(contacts.c.portal.in_(site.portals), contacts.c.gone.is_(None))
        .group_by(contacts.c.portal, contacts.c.stage, contacts.c.status)
        .order_by(contacts.c.portal, contacts.c.stage, contacts.c.status)
    )
    with reading(site.engine) as connection:
        rows = connection.execute(query).all()
    return [
        StageCount(portal=row.portal, stage=row.stage or "none", status=row.status or "", number=row.number)
        for row in rows
    ]
