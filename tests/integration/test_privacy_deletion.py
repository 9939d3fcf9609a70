"""HubSpot deletes a person for good: every trace goes here, too, whatever comes in whichever order; a receipt stays."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from connector.errors import ClaimLost
from connector.identity.erasure import erase_person
from connector.identity.receipts import digest_of
from connector.moments import HOUR
from connector.store.tables import contacts, effects, events, receipts, records, waiting
from tests.databases import is_postgres
from tests.practice import INBOUND, LEAD_TASKS, Practice, practice, stages, wait_out

ANA = {"email": "ana.secret@example.com", "firstname": "Anastasia", "phone": "+49 30 1234567", **INBOUND}
TABLES = (events, waiting, contacts, records, effects)
AS_DRAWN = (Phase.explicit, Phase.reuse, Phase.generate)
"""An example takes a second: finding a smaller one that fails would take minutes."""
SECRETS = ("ana.secret", "Anastasia", "1234567")


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path) as stage:
        yield stage


def told(the: Practice, *names: str) -> list[Mapping[str, Any]]:
    """The latest events of these types, in this order."""
    log = list(the.sandbox.webhooks.events)
    return [next(event for event in reversed(log) if event["subscriptionType"] == f"contact.{name}") for name in names]


def traces(the: Practice, *ids: str) -> dict[str, int]:
    """How many rows of each table are about these contacts."""
    return {
        table.name: number
        for table in TABLES
        if (number := the.rows(sa.select(sa.func.count()).where(table.c.contact.in_(ids)))[0][0])
    }


def reasons(the: Practice, contact: str) -> list[str]:
    """Why a contact was erased, by its receipts."""
    digest = digest_of(the.portal, contact)
    return [row.reason for row in the.rows(sa.select(receipts.c.reason).where(receipts.c.digest == digest))]


def is_clean(the: Practice, *ids: str) -> bool:
    """Whether no row of any table and no byte of the file knows them; PostgreSQL's files are out of reach."""
    if is_postgres():
        return traces(the, *ids) == {}
    raw = the.services.engine.raw_connection()
    raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    file = (the.folder / "practice.db").read_bytes()
    return traces(the, *ids) == {} and not any(secret.encode() in file for secret in SECRETS)


def test_a_privacy_deletion_removes_every_trace_and_leaves_a_receipt(the: Practice) -> None:
    ana = the.sandbox.create_contact(ANA)
    bob = the.sandbox.create_contact({"email": "bob@example.com", **INBOUND})
    the.catch_up()
    assert traces(the, ana).keys() == {"events", "contacts", "records", "effects"}
    the.sandbox.privacy_delete(ana)
    with capture_logs() as logs:
        the.catch_up()

    assert is_clean(the, ana)
    assert reasons(the, ana) == ["privacy_deletion"]
    [line] = [line for line in logs if line["event"] == "person.erased"]
    assert (line["portal"], line["reason"], line["receipt"]) == (4242, "privacy_deletion", 1)
    assert ana not in str([line for line in logs if line["event"] == "person.erased"])
    assert the.services.metrics.erasures.labels("4242", "privacy_deletion")._value.get() == 1
    assert traces(the, bob).keys() == {"events", "contacts", "records", "effects"}
    assert the.dead() == {}


@pytest.mark.parametrize("names", [("deletion", "privacyDeletion"), ("privacyDeletion", "deletion")])
@pytest.mark.parametrize("judged", [True, False])
def test_the_twin_deletion_may_come_first_or_last(the: Practice, names: Sequence[str], judged: bool) -> None:
    ana = the.sandbox.create_contact(ANA)
    if judged:
        the.catch_up()
    the.sandbox.privacy_delete(ana)
    for event in told(the, *names):
        the.accept([event])
        the.move(seconds=3)
        the.work()

    assert is_clean(the, ana)
    assert reasons(the, ana) == ["privacy_deletion"]


def test_events_that_come_after_the_erasure_leave_nothing_behind(the: Practice) -> None:
    ana = the.sandbox.create_contact(ANA)
    late = list(the.sandbox.webhooks.events)
    the.sandbox.privacy_delete(ana)
    the.accept(told(the, "privacyDeletion"))
    the.work()
    assert reasons(the, ana) == ["privacy_deletion"]
    for event in [*late, *told(the, "deletion", "privacyDeletion")]:
        the.accept([event])
        the.move(seconds=3)
        the.work()

    assert is_clean(the, ana)
    assert reasons(the, ana) == ["privacy_deletion"]


def test_a_late_event_that_cannot_be_understood_goes_within_the_hour(the: Practice) -> None:
    ana = the.sandbox.create_contact(ANA)
    the.sandbox.privacy_delete(ana)
    the.deliver()
    the.work()
    odd = {"portalId": the.portal, "subscriptionType": 7, "objectId": int(ana), "propertyValue": ANA["email"]}
    other = {**odd, "objectId": 5}
    nowhere = {name: value for name, value in odd.items() if name != "portalId"}
    the.accept([odd, other, nowhere])
    the.move(hours=2)
    the.worker.tidy()

    left = [row.body["objectId"] for row in the.rows(sa.select(events.c.body).where(events.c.malformed.is_not(None)))]
    assert left == [5]


def test_nothing_of_hubspot_is_asked_and_a_portal_in_trouble_is_no_obstacle(the: Practice) -> None:
    ana = the.sandbox.create_contact(ANA)
    the.catch_up()
    the.sandbox.revoke_token()
    the.sandbox.update_contact(ana, {"jobtitle": "Buyer"})
    the.catch_up()
    the.sandbox.privacy_delete(ana)
    the.sandbox.calls.reset()
    the.accept(told(the, "privacyDeletion"))
    the.work()

    assert is_clean(the, ana)
    assert len(the.sandbox.calls.log) == 0


def test_a_worker_that_holds_the_person_finishes_first_and_brings_nobody_back(the: Practice) -> None:
    ana = the.sandbox.create_contact(ANA)
    the.deliver()
    the.move(seconds=3)
    claim = the.services.inbox.claim(lease_ms=300_000)
    assert claim is not None
    the.sandbox.privacy_delete(ana)
    the.deliver()
    the.work()
    assert reasons(the, ana) == [], "not while somebody is at work"

    the.services.portals[the.portal].pipeline.work(claim)
    the.work()
    assert is_clean(the, ana)
    assert reasons(the, ana) == ["privacy_deletion"]


def test_a_worker_whose_lease_is_over_brings_nobody_back(the: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = the.sandbox.create_contact(ANA)
    the.deliver()
    the.move(seconds=3)
    claim = the.services.inbox.claim(lease_ms=300_000)
    assert claim is not None
    pipeline = the.services.portals[the.portal].pipeline
    recorder = pipeline._recorder
    in_turn = recorder.in_turn

    def sleep_long(judged: Any) -> Any:
        """Between the check of the lease and the transaction that depends on it."""
        the.move(minutes=6)
        the.sandbox.privacy_delete(ana)
        other = the.again()
        other.deliver()
        other.work()
        assert reasons(the, ana) == ["privacy_deletion"]
        the.time.now -= 6 * 60_000
        return in_turn(judged)

    monkeypatch.setattr(recorder, "in_turn", sleep_long)
    with pytest.raises(ClaimLost):
        pipeline.work(claim)
    the.move(minutes=6)
    assert is_clean(the, ana)


def test_whoever_hubspot_still_shows_for_a_while_is_not_begun_anew(the: Practice) -> None:
    ana = the.sandbox.create_contact(ANA)
    the.catch_up()
    before = len(the.sandbox.tasks_of(ana))
    event = {**told(the, "creation")[0], "subscriptionType": "contact.privacyDeletion", "eventId": 1}
    the.accept([event])
    the.work()
    the.sandbox.update_contact(ana, {"jobtitle": "Buyer"})
    the.catch_up()
    assert is_clean(the, ana)
    assert len(the.sandbox.tasks_of(ana)) == before

    the.time.now += HOUR
    the.sandbox.update_contact(ana, {"jobtitle": "Head of Sales"})
    the.catch_up()
    assert stages(the) == {ana: "lead"}
    assert traces(the, ana)["contacts"] == 1, "the event was wrong after all"


@pytest.mark.parametrize("third", [True, False])
@pytest.mark.parametrize("judged", [True, False])
def test_whoever_was_merged_into_the_person_is_forgotten_with_them(tmp_path: Path, third: bool, judged: bool) -> None:
    with practice(tmp_path, merging_makes_third=third) as the:
        ana = the.sandbox.create_contact(ANA)
        twin = the.sandbox.create_contact({**ANA, "email": "ana.secret2@example.com"})
        late = list(the.sandbox.webhooks.events)
        if judged:
            the.catch_up()
        survivor = the.sandbox.merge_contacts(twin, ana)
        the.catch_up()
        the.sandbox.privacy_delete(survivor)
        the.catch_up()
        assert is_clean(the, ana, twin, survivor)

        the.accept([{**event, "eventId": 1} for event in late])
        the.move(seconds=3)
        the.work()
        assert is_clean(the, ana, twin, survivor)
        assert {tuple(reasons(the, one)) for one in {ana, twin, survivor}} == {("privacy_deletion",)}


def test_whom_the_rules_have_erased_is_forgotten_at_once_and_once(tmp_path: Path) -> None:
    with practice(tmp_path, more="    allow: {erase_contacts: true}\n") as the:
        ana = the.sandbox.create_contact({**ANA, "sk_erasure_requested": "yes"})
        the.deliver()
        the.move(seconds=3)
        the.work()
        assert is_clean(the, ana)
        the.catch_up()
        the.catch_up()

        assert is_clean(the, ana)
        assert reasons(the, ana) == ["privacy_deletion"]
        assert the.services.metrics.erasures.labels("4242", "privacy_deletion")._value.get() == 1


@pytest.mark.parametrize("fault", ["reset_after", "timeout_after"])
def test_an_erasure_whose_answer_is_lost_is_still_known_to_be_one(tmp_path: Path, fault: str) -> None:
    """Nobody tells of it here: the webhooks of this portal are lost."""
    with practice(tmp_path, more="    allow: {erase_contacts: true}\n") as the:
        ana = the.sandbox.create_contact({**ANA, "sk_erasure_requested": "yes"})
        the.deliver()
        the.move(seconds=3)
        the.sandbox.faults.add(fault, route="gdpr-delete", times=4, seconds=0.05)
        the.work()
        wait_out(the, 3)

        assert stages(the) == {}
        assert is_clean(the, ana)
        assert reasons(the, ana) == ["privacy_deletion"]


def test_a_crash_after_the_erasure_in_hubspot_is_still_known_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with practice(tmp_path, more="    allow: {erase_contacts: true}\n") as the:
        ana = the.sandbox.create_contact({**ANA, "sk_erasure_requested": "yes"})
        found = the.services.portals[the.portal].hubspot.contacts
        erase = found.gdpr_delete

        def die_after(contact: str) -> None:
            erase(contact)
            raise KeyboardInterrupt

        monkeypatch.setattr(found, "gdpr_delete", die_after)
        the.deliver()
        the.move(seconds=3)
        with pytest.raises(KeyboardInterrupt):
            the.work()
        after = the.again()
        after.move(minutes=6)
        after.work()

        assert is_clean(after, ana)
        assert reasons(after, ana) == ["privacy_deletion"]


def test_an_erasure_that_ops_asked_for_is_no_obstacle_to_beginning_anew(the: Practice) -> None:
    ana = the.sandbox.create_contact(ANA)
    the.catch_up()
    erase_person(the.services.engine, the.portal, ana, reason="asked", now=the.time.now)
    the.sandbox.update_contact(ana, {"jobtitle": "Buyer"})
    the.catch_up()
    assert traces(the, ana)["contacts"] == 1
    assert the.keys(ana) == LEAD_TASKS


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=AS_DRAWN)
@given(dice=st.randoms(use_true_random=False), judged=st.booleans(), merged=st.booleans())
def test_in_whatever_order_events_come_nothing_is_left(
    tmp_path_factory: pytest.TempPathFactory, dice: Any, judged: bool, merged: bool
) -> None:
    with practice(tmp_path_factory.mktemp("erasure")) as the:
        ana = the.sandbox.create_contact(ANA)
        ids = [ana]
        if judged:
            the.catch_up()
        if merged:
            ids.append(the.sandbox.create_contact({**ANA, "email": "ana.secret2@example.com"}))
            ids.append(the.sandbox.merge_contacts(*ids))
        else:
            the.sandbox.update_contact(ana, {"lastname": "Anastasia"})
        the.sandbox.privacy_delete(ids[-1])
        pool = [*the.sandbox.webhooks.events]
        pool += dice.sample(pool, 3)
        dice.shuffle(pool)
        while pool:
            number = dice.randrange(1, 6)
            some, pool = pool[:number], pool[number:]
            the.accept(some)
            the.move(seconds=dice.choice([0, 3, 30]))
            if dice.random() < 0.5:
                the.work()
        wait_out(the, 3)

        assert is_clean(the, *ids)
        assert {tuple(reasons(the, one)) for one in ids} == {("privacy_deletion",)}
        assert the.dead() == {}
