"""Everything at once on the same contacts: nobody waits in a circle for long, nobody fails for it, and all is done."""

import contextlib
import functools
import itertools
import random
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from connector.errors import ClaimLost, Collided
from connector.hubspot.budget import BudgetState
from connector.identity.erasure import UnderWay, erase_person
from connector.inbox import Inbox
from connector.moments import MINUTE, SECOND
from connector.portals import Portals
from connector.reconciliation.watermarks import TurnLost
from connector.store.budgets import DatabaseBudgets
from connector.store.engine import again_when_collided, open_database, writing
from connector.store.tables import deliveries, portals, waiting
from tests.contending import Gate, at_once
from tests.databases import database_url
from tests.dying import Mortal
from tests.inboxes import PORTAL, Hands, accept, settle
from tests.practice import INBOUND, Practice, practice, stages

SECONDS = 8


def deadlocks(engine: sa.Engine) -> int:
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")
        return int(connection.exec_driver_sql(query).scalar_one())


def test_those_who_accept_place_claim_finish_erase_and_reconcile_do_not_wait_in_a_circle(tmp_path: Path) -> None:
    url, hands = database_url(tmp_path / "circle"), Hands()
    engines = [open_database(url) for _ in range(9)]
    inboxes = [Inbox(engine, hands) for engine in engines]
    chance = random.Random(3)

    def some(number: int = 30) -> list[str]:
        return [str(chance.randrange(1, 60)) for _ in range(number)]

    def post(inbox: Inbox) -> None:
        hands.move(5)
        accept(inbox, *some())

    def work(inbox: Inbox, engine: sa.Engine) -> None:
        claim = inbox.claim(lease_ms=MINUTE, limit=20)
        # Lost is what holds a contact that was let wait in the very moment in which it was erased.
        with contextlib.suppress(ClaimLost):
            if claim is not None:
                inbox.renew(claim, lease_ms=MINUTE)
                contacts = [held.contact for held in claim.contacts]
                settle(inbox, engine, claim, {c: chance.choice((None, hands.now + SECOND)) for c in contacts[::2]})
                inbox.release(claim)

    def erase(engine: sa.Engine) -> None:
        try:
            erase_person(engine, PORTAL, some(1)[0], reason="asked", now=hands.now)
        except UnderWay:
            return

    def reconcile(engine: sa.Engine, inbox: Inbox) -> None:
        with writing(engine) as connection:
            inbox.look_at(PORTAL, some(), due=hands.now, connection=connection)
            connection.execute(sa.update(portals).values(watermark=hands.now))

    budgets = DatabaseBudgets(engines[7], to_row=BudgetState.as_row, from_row=BudgetState.of_row)
    troubles = Portals(engines[8], hands)

    def others() -> None:
        budgets.change(PORTAL, lambda state: (state, None))
        troubles.begin_trouble(PORTAL, code="limited", text="x", until=hands.now)
        troubles.end_trouble(PORTAL, tried_at=hands.now)

    raised = at_once(
        lambda: post(inboxes[0]), lambda: post(inboxes[1]), lambda: work(inboxes[2], engines[2]),
        lambda: work(inboxes[3], engines[3]), lambda: work(inboxes[4], engines[4]),
        lambda: erase(engines[5]), lambda: erase(engines[6]),
        lambda: reconcile(engines[6], inboxes[6]), others, seconds=SECONDS,
    )  # fmt: skip
    assert raised == []
    assert deadlocks(engines[0]) == 0


def test_a_transaction_that_was_given_up_for_another_is_made_again(tmp_path: Path) -> None:
    engine, hands = open_database(database_url(tmp_path / "again")), Hands()
    accept(Inbox(engine, hands), "1", "2")
    Inbox(engine, hands).counts()
    together = threading.Barrier(2)
    tries: list[str] = []

    @again_when_collided
    def change(*contacts: str) -> None:
        tries.append(contacts[0])
        with writing(engine) as connection:
            for contact in contacts:
                connection.execute(sa.update(waiting).where(waiting.c.contact == contact).values(last_error="x"))
                if contact == contacts[0] and len(tries) <= 2:
                    together.wait(10)

    threads = [threading.Thread(target=change, args=contacts) for contacts in (("1", "2"), ("2", "1"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # Whoever is given up may be back before the other one has woken up: then they collide once more.
    assert deadlocks(engine) == len(tries) - 2 >= 1


def test_one_that_is_given_up_again_and_again_is_an_unavailable_database() -> None:
    tries: list[int] = []

    @again_when_collided
    def collide() -> None:
        tries.append(1)
        raise Collided("each time")

    with pytest.raises(Collided):
        collide()
    assert len(tries) == 5


RULES = """
version: 1
pack: busy
ladder: [contact, lead]
stages:
  - {id: asked, when: {sk_source: {is: inbound}}, stage: lead, because: They asked.}
  - {id: rest, stage: contact, because: Nothing is known.}
tasks:
  - {id: greet, when: {entered: lead}, title: "Greet {{ contact.email }}"}
"""


class Crowd:
    """People who ask, change, merge, go and are forgotten; whoever has asked once has asked for good.

    Half of them may be forgotten, the others merged: of who he became it is not known what was done for one forgotten.
    """

    def __init__(self, the: Practice, number: int) -> None:
        self._the = the
        self._chance = random.Random(5)
        self._addresses = ({"email": f"p{n}@example.com"} for n in itertools.count())
        self.people = [the.sandbox.create_contact(next(self._addresses)) for _ in range(number)]

    def change(self) -> None:
        chance, sandbox = self._chance, self._the.sandbox
        for one in chance.sample(self.people, 9):
            sandbox.update_contact(one, chance.choice((INBOUND, {"sk_intent": "unclear"}, {"jobtitle": "Buyer"})))
        winner, loser, leaver = chance.sample([one for one in self.people if int(one) % 2], 3)
        (sandbox.delete_contact, sandbox.privacy_delete)[chance.randrange(2)](leaver)
        survivor = sandbox.merge_contacts(winner, loser)
        self.people = [one for one in self.people if one not in (winner, loser, leaver)]
        self.people += [survivor, *(sandbox.create_contact({**INBOUND, **next(self._addresses)}) for _ in range(4))]

    def forget(self) -> None:
        one = self._chance.choice([one for one in self.people if not int(one) % 2])
        with contextlib.suppress(UnderWay):
            erase_person(self._the.services.engine, self._the.portal, one, reason="asked", now=self._the.time.now)

    def ask(self) -> None:
        """Who was forgotten in the meantime is looked at again only when something changes."""
        for one in self.people:
            self._the.sandbox.update_contact(one, {"sk_source": "referral"})
            self._the.sandbox.update_contact(one, INBOUND)


def test_workers_beside_merges_deletions_erasures_and_reconciliation_come_to_the_right_end(tmp_path: Path) -> None:
    with practice(tmp_path, rules=RULES, worker="worker: {attempts: 50}") as the, capture_logs() as logs:
        crowd = Crowd(the, 150)
        the.catch_up()
        workers = [Mortal(the, random.Random(seed)) for seed in range(3)]
        time_stands = Gate()  # while anybody has contacts in hand: so only the dead are taken for dead
        claimed = threading.Semaphore(0)

        def work(worker: Mortal) -> None:
            with time_stands.together():
                if worker.work_once():
                    claimed.release()

        def change() -> None:
            claimed.acquire(timeout=0.1)  # so that neither leaves the other far behind
            with time_stands.together():
                crowd.change()
                the.deliver()
            with time_stands.alone():
                the.move(seconds=3)

        def reconcile() -> None:
            with time_stands.alone():
                the.move(minutes=16)
            with contextlib.suppress(TurnLost):
                the.worker.reconciler.run_due(the.portal)

        doing = [change, reconcile, crowd.forget, *(functools.partial(work, worker) for worker in workers)]
        assert at_once(*doing, seconds=2 * SECONDS) == []
        print(sum(worker.deaths for worker in workers), "deaths", deadlocks(the.services.engine), "deadlocks")
        assert sum(worker.deaths for worker in workers) > 0
        crowd.ask()
        for _ in range(12):
            the.catch_up(most=5_000)
            the.move(minutes=30)
        assert the.dead() == {}
        assert [line for line in logs if line["event"] == "claim.failed"] == []
        assert {one: stage for one, stage in stages(the).items() if stage != "lead"} == {}
        titles = {one: the.titles(one) for one in crowd.people}
        assert {one: found for one, found in titles.items() if not found or len(found) != len(set(found))} == {}
        assert the.rows(sa.select(deliveries)) == []
