"""Events, claims, decisions, failures, erasures and the clock in any order: whoever has a next look gets it, once."""

from collections import Counter
from collections.abc import Callable, Collection

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)  # fmt: skip

from connector.identity.erasure import UnderWay, erase_person
from connector.inbox import Claim, Failure, Inbox
from connector.moments import DAY, HOUR, MINUTE, SECOND
from connector.store.engine import writing
from connector.store.tables import contacts, looks, metadata, waiting
from tests.inboxes import LEASE, PORTAL, START, Hands, accept, judge, named, settle, stored

_IDS = st.sampled_from(["1", "2", "3", "4", "5"])
_SOME = st.sets(_IDS, min_size=1)
_LOOK = st.none() | st.sampled_from([0, 1, SECOND, MINUTE, HOUR, DAY])
_SPAN = st.sampled_from([1, SECOND, MINUTE, HOUR, DAY, 3 * DAY, -SECOND, -HOUR])


class Life(RuleBasedStateMachine):
    """Contacts of one portal through an inbox, beside what they are owed."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__()
        self.engine = engine
        self.clock = Hands()
        self.inbox = Inbox(engine, self.clock, last_attempt=1_000)
        self.owed: set[str] = set()
        """Must be claimed once more, for an event, a retry, a look that came due or a claim that did not end."""
        self.dead: set[str] = set()
        self.looks: dict[str, int | None] = {}
        """Of everybody who was ever judged."""
        self.hands: dict[str, Claim] = {}
        """By contact: the last claim that took it and has not given it back."""
        self.grown: set[str] = set()

    @initialize()
    def begin(self) -> None:
        with writing(self.engine) as connection:
            for table in metadata.sorted_tables:
                connection.execute(sa.delete(table))

    @rule(ids=_SOME)
    def an_event_comes(self, ids: Collection[str]) -> None:
        accept(self.inbox, *ids)
        self.inbox.counts()
        self._have_reason(ids)

    @rule(ids=_SOME, wait=st.sampled_from([0, SECOND, HOUR]))
    def they_are_to_be_looked_at(self, ids: Collection[str], wait: int) -> None:
        self.inbox.look_at(PORTAL, ids, due=self.clock.now + wait)
        self._have_reason(ids)

    def _have_reason(self, ids: Collection[str]) -> None:
        self.owed |= {*ids}
        self.dead -= {*ids}
        self.grown |= {*ids} & self.hands.keys()

    @rule(limit=st.integers(1, 5))
    def somebody_claims(self, limit: int) -> None:
        found = self.inbox.claim(lease_ms=LEASE, limit=limit)
        for contact in named(found):
            assert contact not in self.dead
            assert contact in self.owed or self._is_due(contact), contact
            assert contact not in self.hands or self.hands[contact].until <= self.clock.now, contact
            assert found is not None
            self.hands[contact] = found
            self.owed.add(contact)
            self.grown.discard(contact)

    def _is_due(self, contact: str) -> bool:
        look = self.looks.get(contact)
        return look is not None and look <= self.clock.now

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), look=_LOOK)
    def it_is_decided(self, data: st.DataObject, look: int | None) -> None:
        """Before anything is written, with a time of its own that the end may change."""
        self._with_one(data, lambda found, contact: self._decide(found, contact, look))

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), look=_LOOK, same=st.booleans())
    def it_is_settled(self, data: st.DataObject, look: int | None, same: bool) -> None:
        self._with_one(data, lambda found, contact: self._settle(found, contact, look, same=same))

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), wait=st.none() | st.sampled_from([SECOND, HOUR]))
    def it_fails(self, data: st.DataObject, wait: int | None) -> None:
        self._with_one(data, lambda found, contact: self._fail(found, contact, wait))

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def it_is_given_back(self, data: st.DataObject) -> None:
        found = self.hands[data.draw(st.sampled_from(sorted(self.hands)))]
        self.inbox.release(found)
        self.hands = {contact: one for contact, one in self.hands.items() if one != found}

    def _with_one(self, data: st.DataObject, do: Callable[[Claim, str], None]) -> None:
        """Do something with a contact in hand, in the claim that took it; some other's hands may have it by now."""
        contact = data.draw(st.sampled_from(sorted(self.hands)))
        do(self.hands[contact], contact)

    def _decide(self, found: Claim, contact: str, look: int | None) -> None:
        due = None if look is None else self.clock.now + look
        with writing(self.engine) as connection:
            judge(connection, contact, due)
        assert contact in named(found)
        self.looks[contact] = due

    def _settle(self, found: Claim, contact: str, look: int | None, *, same: bool) -> None:
        due = self.looks.get(contact) if same else None if look is None else self.clock.now + look
        settle(self.inbox, self.engine, found, {contact: due})
        self.looks[contact] = due
        if contact not in self.grown:
            self.owed.discard(contact)
        self._put_down(contact)

    def _fail(self, found: Claim, contact: str, wait: int | None) -> None:
        retry_at = None if wait is None else self.clock.now + wait
        self.inbox.finish(found, failed={contact: Failure(error="no", retry_at=retry_at)})
        if wait is None and contact not in self.grown:
            self.owed.discard(contact)
            self.dead.add(contact)
        self._put_down(contact)

    def _put_down(self, contact: str) -> None:
        del self.hands[contact]
        self.grown.discard(contact)

    @rule(contact=_IDS)
    def somebody_tries_again(self, contact: str) -> None:
        if self.inbox.retry(portal=PORTAL, contact=contact):
            self._let_go_of_the_late(contact)
            self._have_reason([contact])

    @rule(contact=_IDS)
    def somebody_drops_one(self, contact: str) -> None:
        if self.inbox.drop(portal=PORTAL, contact=contact):
            self._let_go_of_the_late(contact)
            self._forget(contact)
            if contact in self.known():
                self.looks[contact] = None

    @rule(contact=_IDS)
    def one_is_erased(self, contact: str) -> None:
        try:
            erase_person(self.engine, PORTAL, contact, reason="asked", now=self.clock.now)
        except UnderWay:
            return
        self._let_go_of_the_late(contact)
        self._forget(contact)
        assert contact not in {one for _, _, one in stored(self.engine, looks)}

    @rule(contact=_IDS)
    def one_is_merged(self, contact: str) -> None:
        with writing(self.engine) as connection:
            connection.execute(sa.update(contacts).where(contacts.c.contact == contact).values(next_look_at=None))
        if contact in self.looks:
            self.looks[contact] = None

    def _let_go_of_the_late(self, contact: str) -> None:
        """A worker whose lease was over finds out that a contact is not his any more."""
        if contact in self.hands:
            assert self.hands[contact].until <= self.clock.now
            self.hands.pop(contact)
            self.grown.discard(contact)

    def _forget(self, contact: str) -> None:
        self.owed.discard(contact)
        self.dead.discard(contact)
        self.looks.pop(contact, None)

    def known(self) -> set[str]:
        return {row_[1] for row_ in stored(self.engine, contacts)}

    @rule(by=_SPAN)
    def time_passes(self, by: int) -> None:
        self.clock.move(by)

    @rule()
    def somebody_looks(self) -> None:
        self.inbox.counts()
        due = {contact for contact in self.looks if self._is_due(contact)}
        assert due <= {row_[1] for row_ in stored(self.engine, waiting)}

    @invariant()
    def whoever_has_a_time_waits_or_has_a_look_of_it(self) -> None:
        waits = {row_[1] for row_ in stored(self.engine, waiting)}
        there = {(contact, due) for _, due, contact in stored(self.engine, looks)}
        owed = {(contact, due) for contact, due in self.looks.items() if due is not None and contact not in waits}
        assert owed <= there
        assert {contact for contact, _ in there} <= self.known()

    def teardown(self) -> None:
        """In the end everybody who is owed a look gets one, exactly."""
        self.clock.now = START + 1_000 * DAY
        due = {contact for contact, look in self.looks.items() if look is not None and contact not in self.dead}
        got: Counter[str] = Counter()
        while (found := self.inbox.claim(lease_ms=LEASE)) is not None:
            got.update(named(found))
            settle(self.inbox, self.engine, found, dict.fromkeys(named(found)))
        assert got == Counter(self.owed | due)
        assert stored(self.engine, looks) == []
        assert {one.contact for one in self.inbox.listing()} == self.dead


def test_whatever_happens_in_whatever_order_nobody_is_lost_or_doubled(engine: sa.Engine) -> None:
    how = settings(
        max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck),
        derandomize=True, database=None, phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(lambda: Life(engine), settings=how)  # type: ignore[no-untyped-call]
