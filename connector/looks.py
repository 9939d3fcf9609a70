"""Next looks, in the order of time: when a look's time comes its contact waits, like one of whom an event came.

A look is written where its time is, so however many contacts there are, few pages change; it is never moved or searched
for. Of a contact's looks that one holds which stands in `contacts.next_look_at` too; a later decision makes the others
stale without touching them. Whomever that column gives a time, he waits, or there is a look of that time: nobody is
lost. The price: a stale look lies there until its time comes, and is then dropped.
"""

from collections.abc import Callable, Collection, Sequence

import sqlalchemy as sa
import structlog

from connector.moments import Clock
from connector.store.engine import insert_into, is_alone, reading, writing
from connector.store.prepared import Insert, Prepared
from connector.store.tables import contacts, looks, portals, waiting

WAITING = ("portal", "contact", "due", "since", "generation", "attempts")
"""The columns of a row of a contact that begins to wait."""

_log = structlog.get_logger()
_AT_ONCE = 300
_PAUSE_S = 0.02  # webhooks go first, as while events are placed
_HOLDS = sa.and_(
    contacts.c.portal == looks.c.portal, contacts.c.contact == looks.c.contact, contacts.c.next_look_at == looks.c.due
)
_NONE: sa.ColumnElement[int] = sa.literal_column("0")
_IS_FRESH = waiting.c.claim.is_(None) & waiting.c.dead_at.is_(None) & (waiting.c.attempts == _NONE)


class Looks:
    """Keeps next looks and lets their contacts wait when it is time."""

    def __init__(self, engine: sa.Engine, clock: Clock, *, pause: Callable[[float], None], alone: int) -> None:
        """Take the advisory lock under which whoever lets contacts wait is alone."""
        self._engine = engine
        self._clock = clock
        self._pause = pause
        self._alone = alone
        self._wait = Prepared(engine, _let_wait_by(engine), columns=WAITING)

    def promote(self, *, rounds: int) -> None:
        """Let those wait whose look is due, in so many small transactions at the most; one query when nobody's is."""
        for _ in range(rounds):
            now = self._clock()
            due = self._portals_with_due(now)
            if not due:
                return
            with writing(self._engine) as connection:
                number = self._promote_some(connection, due, now) if is_alone(connection, self._alone) else 0
            if number < _AT_ONCE:
                return
            self._pause(_PAUSE_S)

    def _portals_with_due(self, now: int) -> Sequence[int]:
        """Name the portals of which a look is due, stale or not, the one whose is due first before the others."""
        first = sa.select(sa.func.min(looks.c.due)).where(looks.c.portal == portals.c.portal).scalar_subquery()
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(first.label("due"), portals.c.portal)).all()
        return [portal for due, portal in sorted((row.due, row.portal) for row in rows if row.due is not None)
                if due <= now]  # fmt: skip

    def _promote_some(self, connection: sa.Connection, due: Sequence[int], now: int) -> int:
        """Take the first looks that are due, let the contacts of those wait that hold; how many looks that were."""
        taken = waits = 0
        for portal in due:
            found = _take(connection, portal, now, most=_AT_ONCE - taken)
            waits += self._let_wait(connection, portal, found, now)
            taken += len(found)
            if taken >= _AT_ONCE:
                break
        _log.debug("looks.promoted", looks=taken, contacts=waits)
        return taken

    def _let_wait(
        self, connection: sa.Connection, portal: int, found: Collection[tuple[int, str]], now: int
    ) -> int:
        """Let the contacts of looks that hold wait, unless they do already; how many those are.

        That is asked now that the looks are locked: whoever is just giving a contact a time that one of them has, has
        committed before, or finds that look gone and writes it anew.
        """
        same = sa.and_(waiting.c.portal == contacts.c.portal, waiting.c.contact == contacts.c.contact)
        query = (
            sa.select(contacts.c.next_look_at, contacts.c.contact)
            .outerjoin(waiting, same)
            .where(
                contacts.c.portal == portal,
                contacts.c.contact.in_({contact for _, contact in found}),
                contacts.c.next_look_at <= now,
                waiting.c.contact.is_(None) | ((waiting.c.since > now) & _IS_FRESH),
            )
        )
        known = {(row.next_look_at, row.contact) for row in connection.execute(query)} if found else set()
        held = sorted((contact, due) for due, contact in found if (due, contact) in known)
        self._wait.run(connection, [(portal, contact, due, due, 1, 0) for contact, due in held])
        return len(held)


def _let_wait_by(engine: sa.Engine) -> Insert:
    """Let a contact wait, or no longer wait for later where it has no reason of its own to wait yet.

    Who waits with a reason is judged by that: a retry keeps its time, and a dead letter stays one.
    """
    insert = insert_into(engine, waiting)
    sooner = {name: insert.excluded[name] for name in ("due", "since")}
    of_itself = (waiting.c.since > insert.excluded.since) & _IS_FRESH
    return insert.on_conflict_do_update(index_elements=["portal", "contact"], set_=sooner, where=of_itself)


def _take(connection: sa.Connection, portal: int, now: int, *, most: int) -> list[tuple[int, str]]:
    """Lock and delete the first looks of a portal that are due; those that are just being written come another time."""
    first = (
        sa.select(looks.c.due, looks.c.contact)
        .where(looks.c.portal == portal, looks.c.due <= now)
        .order_by(looks.c.due, looks.c.contact)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    found = [(row.due, row.contact) for row in connection.execute(first)]
    if found:
        this = (looks.c.due == sa.bindparam("_due"), looks.c.contact == sa.bindparam("_contact"))
        rows = [{"_due": due, "_contact": contact} for due, contact in found]
        connection.execute(sa.delete(looks).where(looks.c.portal == portal, *this), rows)
    return found


def note_looks(engine: sa.Engine) -> Prepared:
    """Make what writes rows of portal, time and contact, to be used before the contacts cease to wait.

    One that is there already is locked as if it were written, so that nobody drops it as stale meanwhile.
    """
    insert = insert_into(engine, looks)
    again = insert.on_conflict_do_update(
        index_elements=["portal", "due", "contact"], set_={"contact": insert.excluded.contact}
    )
    return Prepared(engine, again, columns=("portal", "due", "contact"))


def first_look(connection: sa.Connection, portal: int, *, until: int) -> int | None:
    """Say when the first look of a portal that holds is due, None when none is until then; what waits is not asked."""
    first = sa.select(looks.c.due).join(contacts, _HOLDS).where(looks.c.portal == portal, looks.c.due <= until)
    return connection.scalar(first.order_by(looks.c.due).limit(1))


def due_looks(connection: sa.Connection, portal: int, now: int, *, most: int) -> tuple[int, int | None]:
    """Count looks that hold, whose time has come and whose contacts do not wait yet; since when the first is due."""
    waits = sa.and_(waiting.c.portal == looks.c.portal, waiting.c.contact == looks.c.contact)
    some = (
        sa.select(looks.c.due)
        .join(contacts, _HOLDS)
        .where(looks.c.portal == portal, looks.c.due <= now, ~sa.exists().where(waits))
        .order_by(looks.c.due)
        .limit(most)
        .subquery()
    )
    number, since = connection.execute(sa.select(sa.func.count(), sa.func.min(some.c.due))).one()
    return number, since


def next_look(connection: sa.Connection, portal: int, contact: str) -> int | None:
    """Say when a contact is looked at next by itself."""
    this = (contacts.c.portal == portal, contacts.c.contact == contact)
    return connection.scalar(sa.select(contacts.c.next_look_at).where(*this))


def wake(connection: sa.Connection, portal: int, contact: str, *, now: int) -> None:
    """Let a contact wait that has a look to come, unless it waits already."""
    if next_look(connection, portal, contact) is not None:
        row = {"portal": portal, "contact": contact, "due": now, "since": now, "generation": 1, "attempts": 0}
        connection.execute(insert_into(connection.engine, waiting).on_conflict_do_nothing(), row)


def forgo_looks(connection: sa.Connection, those: Collection[tuple[int, str]]) -> None:
    """Give contacts, by portal and id, no next look: what there is becomes stale."""
    rows = [{"_portal": portal, "_contact": contact} for portal, contact in those]
    if rows:
        this = (contacts.c.portal == sa.bindparam("_portal"), contacts.c.contact == sa.bindparam("_contact"))
        connection.execute(sa.update(contacts).where(*this).values(next_look_at=None), rows)


def erase_looks(connection: sa.Connection, portal: int, ids: Collection[str]) -> None:
    """Delete all looks of contacts, stale ones too; to be called before anything else of theirs is deleted.

    All looks of the portal are read for it, unless none of these was ever judged: then they have none.
    """
    known = sa.select(sa.literal(1)).where(contacts.c.portal == portal, contacts.c.contact.in_(ids)).limit(1)
    if connection.scalar(known) is not None:
        connection.execute(sa.delete(looks).where(looks.c.portal == portal, looks.c.contact.in_(ids)))
