"""Erasing a person from a real database: everything of theirs, nothing of anybody else's, and a receipt."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from connector.errors import ClaimLost
from connector.identity.erasure import PATIENCE_MS, UnderWay, count_person, erase_person, erase_when_free
from connector.identity.receipts import Receipt, digest_of
from connector.inbox import Inbox
from connector.store.engine import writing
from connector.store.tables import contacts, receipts, waiting
from tests.inboxes import delivery, event, take_in
from tests.integration.stocked import NOW, PORTAL, Stock, stock_in

NOTHING = {"events": 0, "waiting": 0, "contacts": 0, "records": 0, "effects": 0}
ONE_OF_EACH = {"events": 2, "waiting": 1, "contacts": 1, "records": 1, "effects": 1}


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    made = stock_in(tmp_path)
    yield made
    made.engine.dispose()


def erase(stock: Stock, contact: str, *, now: int = NOW) -> Receipt:
    return erase_person(stock.engine, PORTAL, contact, reason="asked", now=now)


def a_receipt(id_: int, contact: str, counts: dict[str, int]) -> Receipt:
    digest = hashlib.sha256(f"{PORTAL}:{contact}".encode()).hexdigest()
    return Receipt(id=id_, portal=PORTAL, digest=digest, reason="asked", erased_at=NOW, counts=counts)


def test_everything_of_a_person_goes_and_nothing_of_anybody_else(stock: Stock) -> None:
    stock.person("50")
    stock.person("501", portal=99)
    before = stock.rows(without=("receipts",))
    stock.person("501")

    receipt = erase(stock, "501")

    assert receipt == a_receipt(1, "501", ONE_OF_EACH)
    assert stock.rows(without=("receipts",)) == before


def test_a_receipt_is_kept_and_names_nobody(stock: Stock) -> None:
    stock.person("8675309")
    receipt = erase(stock, "8675309")
    with stock.engine.connect() as connection:
        row = connection.execute(sa.select(receipts)).one()
    assert tuple(row) == (1, PORTAL, digest_of(PORTAL, "8675309"), "asked", NOW, ONE_OF_EACH)
    assert "8675309" not in orjson.dumps({name: getattr(receipt, name) for name in Receipt.__slots__}).decode()


def test_an_unknown_contact_gets_a_receipt_of_zeros(stock: Stock) -> None:
    assert erase(stock, "1") == a_receipt(1, "1", NOTHING)
    assert erase(stock, "1") == a_receipt(2, "1", NOTHING)


def test_a_dead_letter_goes_too(stock: Stock) -> None:
    stock.waiting("501", dead_at=NOW, last_error="no such option", attempts=8)
    assert erase(stock, "501").counts == {**NOTHING, "waiting": 1}


def test_what_was_merged_into_a_person_goes_with_them_however_many_times_over(stock: Stock) -> None:
    for contact, gone in (("1", "2"), ("2", "3"), ("9", "8"), ("7", "deleted")):
        stock.contact(contact, gone=gone)
        stock.record(contact, "lead")
    stock.contact("3")
    stock.contact("8")
    assert erase(stock, "3").counts == {**NOTHING, "contacts": 3, "records": 2}
    with stock.engine.connect() as connection:
        assert connection.scalars(sa.select(contacts.c.contact).order_by("contact")).all() == ["7", "8", "9"]


def test_events_that_could_not_be_understood_go_when_they_name_the_person(stock: Stock) -> None:
    stock.event(None, "a", body={"objectId": 501, "propertyValue": "ana@example.com"}, malformed="why")
    stock.event(None, "b", body={"mergedObjectIds": [7, "501"]}, malformed="why")
    stock.event(None, "c", body={"objectId": 501}, malformed="portalId", portal=0)
    stock.event(None, "d", body={"objectId": 5010, "propertyValue": "501"}, malformed="why")
    stock.event(None, "e", body={"objectId": None, "mergedObjectIds": {"501": 1}}, malformed="why")
    stock.event(None, "f", body={"objectId": 501}, malformed="why", portal=99)
    assert erase(stock, "501").counts == {**NOTHING, "events": 3}
    assert [row[2] for row in stock.rows()["events"]] == ["d", "e", "f"]


def test_the_contact_of_an_event_that_was_not_placed_is_looked_at_again_so_that_the_event_goes_as_well(
    stock: Stock,
) -> None:
    inbox = Inbox(stock.engine, lambda: NOW)
    take_in(inbox, [event("501", "a"), event("502", "b")], settle_ms=0)
    inbox.accept(delivery(event("501", "c", echo=True), event("502", "d")), settle_ms=0)

    assert count_person(stock.engine, PORTAL, "501") == {**NOTHING, "events": 1, "waiting": 1}
    assert erase(stock, "501").counts == {**NOTHING, "events": 1, "waiting": 1}

    assert [row.contact for row in inbox.listing()] == ["501", "502"]
    assert sorted(row[4] for row in stock.rows()["events"]) == ["501", "502", "502"]


def test_what_was_a_delivery_is_overwritten_in_the_file_once_it_is_placed(stock: Stock, tmp_path: Path) -> None:
    inbox = Inbox(stock.engine, lambda: NOW)
    told = [event(str(one), f"k{one}", value=f"secret-{one}@example.com") for one in range(1, 301)]
    take_in(inbox, told, settle_ms=0)
    for one in range(1, 301):
        erase(stock, str(one))
    stock.engine.dispose()
    assert b"secret-" not in b"".join(file.read_bytes() for file in sorted(tmp_path.rglob("*.db*")))


def test_a_later_event_of_the_same_contact_begins_anew(stock: Stock) -> None:
    stock.person("501")
    erase(stock, "501")
    inbox = Inbox(stock.engine, lambda: NOW)
    inbox.accept(delivery(event("501", "new")), settle_ms=0)

    claim = inbox.claim(lease_ms=1_000)

    assert claim is not None
    assert [(held.contact, held.attempts) for held in claim.contacts] == [("501", 1)]
    assert stock.rows()["contacts"] == []


def test_nothing_is_erased_while_a_worker_holds_the_contact(stock: Stock) -> None:
    stock.person("501")
    with writing(stock.engine) as connection:
        connection.execute(sa.update(waiting).values(claim="token", claimed_until=NOW + 60_000))
    before = stock.rows()

    with pytest.raises(UnderWay) as refused:
        erase(stock, "501")

    assert refused.value.until == NOW + 60_000
    assert refused.value.exit_code == 7
    assert "until 2026-09-21T14:14:20Z" in str(refused.value)
    assert stock.rows() == before


def test_nothing_is_erased_while_a_worker_holds_what_was_merged_into_the_contact(stock: Stock) -> None:
    stock.contact("1", gone="2")
    stock.contact("2")
    stock.waiting("1", claim="token", claimed_until=NOW + 1)
    with pytest.raises(UnderWay):
        erase(stock, "2")


def test_a_lease_that_is_over_does_not_stand_in_the_way(stock: Stock) -> None:
    stock.waiting("501", claim="token", claimed_until=NOW)
    assert erase(stock, "501").counts == {**NOTHING, "waiting": 1}


def test_the_claim_of_a_worker_is_lost_with_the_contact(stock: Stock) -> None:
    inbox = Inbox(stock.engine, lambda: NOW)
    inbox.look_at(PORTAL, ["501"], due=NOW)
    claim = inbox.claim(lease_ms=1_000)
    assert claim is not None
    erase(stock, "501", now=NOW + 1_000)
    with pytest.raises(ClaimLost):
        inbox.finish(claim, settled={"501": None})


def test_a_contact_in_hand_is_waited_for_until_the_worker_has_finished(stock: Stock) -> None:
    inbox = Inbox(stock.engine, lambda: NOW)
    inbox.look_at(PORTAL, ["501"], due=NOW)
    claim = inbox.claim(lease_ms=60_000)
    assert claim is not None
    moments = [NOW]

    def sleep(seconds: float) -> None:
        moments.append(moments[-1] + round(seconds * 1_000))
        if len(moments) == 4:
            inbox.finish(claim, settled={"501": None})

    receipt = erase_when_free(
        stock.engine, PORTAL, "501", reason="privacy_deletion", clock=lambda: moments[-1], sleep=sleep
    )

    assert (receipt.reason, receipt.erased_at) == ("privacy_deletion", moments[3])


def test_waiting_ends_after_a_few_seconds(stock: Stock) -> None:
    stock.waiting("501", claim="token", claimed_until=NOW + 60_000)
    moments = [NOW]
    with pytest.raises(UnderWay):
        erase_when_free(
            stock.engine, PORTAL, "501", reason="asked", clock=lambda: moments[-1],
            sleep=lambda seconds: moments.append(moments[-1] + round(seconds * 1_000)),
        )  # fmt: skip
    assert moments[-1] == NOW + PATIENCE_MS


@pytest.mark.usefixtures("in_a_file")
def test_what_was_erased_cannot_be_read_from_the_file_once_its_log_is_merged(stock: Stock) -> None:
    stock.person("501")
    path = stock.folder / "stock.db"
    erase(stock, "501")
    raw = stock.engine.raw_connection()
    raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    assert b"ana@example.com" not in path.read_bytes()
    assert b"Call Ana" not in path.read_bytes()


def test_counting_finds_what_erasing_removes(stock: Stock) -> None:
    stock.person("501")
    stock.event(None, "x", body={"objectId": 501}, malformed="why")
    counted = count_person(stock.engine, PORTAL, "501")
    assert counted == {**ONE_OF_EACH, "events": 3}
    assert erase(stock, "501").counts == counted
