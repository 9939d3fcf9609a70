"""With many at work at once, and some of them killed, no event is lost and no contact is in two hands."""

import random
import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.errors import DatabaseUnavailable
from connector.inbox import Inbox, Placed
from connector.moments import system_clock
from connector.store.engine import open_database, reading
from connector.store.tables import deliveries, events, waiting
from connector.store.together import Together
from tests.inboxes import delivery, event
from tests.integration.deaths import left, let_die


def test_threads_that_accept_and_work_off_settle_every_contact(engine: sa.Engine) -> None:
    placed: list[Placed] = []
    inbox = Inbox(engine, system_clock, told=placed.append)
    over = threading.Event()
    held: dict[str, threading.Lock] = defaultdict(threading.Lock)
    looks: dict[str, int] = defaultdict(int)
    overlaps: list[str] = []

    def post(seed: int) -> None:
        chance = random.Random(seed)
        for number in range(40):
            contacts = [str(chance.randrange(1, 40)) for _ in range(10)]
            batch = [event(contact, f"{seed}-{number}-{at}") for at, contact in enumerate(contacts)]
            inbox.accept(delivery(*batch), settle_ms=0)

    def work() -> None:
        while not (over.is_set() and left(engine) == 0):
            claim = inbox.claim(lease_ms=60_000, limit=7)
            contacts = [] if claim is None else [one.contact for one in claim.contacts]
            overlaps.extend(contact for contact in contacts if not held[contact].acquire(blocking=False))
            for contact in contacts:
                looks[contact] += 1
                held[contact].release()
            if claim is not None:
                inbox.finish(claim, settled=dict.fromkeys(contacts))

    posters = [threading.Thread(target=post, args=(seed,)) for seed in range(3)]
    workers = [threading.Thread(target=work) for _ in range(3)]
    for thread in posters + workers:
        thread.start()
    for thread in posters:
        thread.join()
    over.set()
    for thread in workers:
        thread.join(60)
    assert overlaps == []
    assert sum(one.stored for one in placed) == 3 * 40 * 10
    assert left(engine) == 0
    with reading(engine) as connection:
        assert set(connection.scalars(sa.select(events.c.contact))) == set(looks)


def test_processes_that_post_work_and_are_killed_lose_nothing_and_never_share_a_contact(
    url: str, engine: sa.Engine, tmp_path: Path
) -> None:
    let_die(url, engine, tmp_path, posters=2, workers=2, seed=7, every_s=(0.3, 0.7))


def test_concurrent_requests_with_the_same_events_store_and_count_each_once(engine: sa.Engine) -> None:
    placed: list[Placed] = []
    inbox = Inbox(engine, system_clock, told=placed.append)
    together = threading.Barrier(8)

    def post(seed: int) -> None:
        batch = [event(str(at % 30 + 1), f"k{at}") for at in range(100)]
        batch += [event(None, f"m{at}") for at in range(5)]
        random.Random(seed).shuffle(batch)
        together.wait(10)
        for _ in range(5):
            inbox.accept(delivery(*batch), settle_ms=0)
            inbox.place()

    threads = [threading.Thread(target=post, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    inbox.place()
    assert sum(placed, Placed()) == Placed(stored=100, duplicates=39 * 105, malformed=5)
    with reading(engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(events)) == 105


def test_two_that_place_at_the_same_time_let_each_contact_wait_and_place_each_event_once(url: str) -> None:
    engines = [open_database(url) for _ in range(2)]
    inboxes = [Inbox(engine, system_clock) for engine in engines]
    inboxes[0].accept(delivery(*(event(str(at), f"k{at}") for at in range(1, 1_001))), settle_ms=0)
    threads = [threading.Thread(target=inbox.counts) for inbox in inboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with reading(engines[0]) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(deliveries)) == 0
        generations = connection.scalars(sa.select(waiting.c.generation)).all()
    assert generations == [1] * 1_000
    for engine in engines:
        engine.dispose()


def test_requests_that_come_together_share_a_transaction_and_each_gets_its_own_answer() -> None:
    entered, gathered = threading.Event(), threading.Event()
    groups: list[int] = []

    def slow(items: Sequence[int]) -> Sequence[int]:
        groups.append(len(items))
        entered.set()
        gathered.wait(10)
        return [item * 2 for item in items]

    together = Together(slow, at_most=4)
    answers: dict[int, int] = {}
    threads = [threading.Thread(target=lambda n=n: answers.update({n: together.run(n)})) for n in range(10)]
    threads[0].start()
    entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(together._gathered) < 9:
        threading.Event().wait(0.001)
    gathered.set()
    for thread in threads:
        thread.join(10)
    assert answers == {n: n * 2 for n in range(10)}
    assert groups == [1, 4, 4, 1]


@pytest.mark.parametrize("error", [DatabaseUnavailable("gone"), ZeroDivisionError("of one alone")])
def test_what_goes_wrong_together_is_told_to_each_or_to_the_one_at_fault(error: Exception) -> None:
    entered, gathered = threading.Event(), threading.Event()

    def fail(items: Sequence[int]) -> Sequence[int]:
        entered.set()
        gathered.wait(10)
        if 3 in items:
            raise error
        return list(items)

    together = Together(fail)
    answers: dict[int, object] = {}

    def run(number: int) -> None:
        try:
            answers[number] = together.run(number)
        except (DatabaseUnavailable, ZeroDivisionError) as caught:
            answers[number] = caught

    threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
    threads[0].start()
    entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(together._gathered) < 5:
        threading.Event().wait(0.001)
    gathered.set()
    for thread in threads:
        thread.join(10)
    wrong = {number for number, answer in answers.items() if answer is error}
    assert len(answers) == 6
    assert 3 in wrong
    # Of what nobody foresaw, only the one who ran it for all, and the one at fault, may hear.
    assert wrong == {1, 2, 3, 4, 5} if isinstance(error, DatabaseUnavailable) else len(wrong) <= 2


