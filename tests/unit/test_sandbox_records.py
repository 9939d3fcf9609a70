"""Records, associations and faults of the practice HubSpot, without a server."""

import pytest

from connector.sandbox.associations import TYPES, AssociationStore, Link, inverse_type
from connector.sandbox.faults import Fault, Faults
from connector.sandbox.kinds import COMPANY, CONTACT, DEAL, KINDS, TASK
from connector.sandbox.records import LONGEST_HISTORY, Author, RecordStore
from connector.sandbox.refusals import Refusal

PERSON = Author("CRM_UI", "userId:1")


def test_every_association_type_has_its_inverse_in_the_other_direction() -> None:
    for (source, target), types in TYPES.items():
        for one in types:
            assert inverse_type(target, source, one.inverse) == one.id


@pytest.mark.parametrize(("source", "target", "ids"), [
    (TASK, CONTACT, [204]), (CONTACT, TASK, [203]), (TASK, DEAL, [216]), (DEAL, CONTACT, [3]), (CONTACT, DEAL, [4]),
    (CONTACT, COMPANY, [279, 1]), (COMPANY, CONTACT, [280, 2]), (DEAL, COMPANY, [341, 5]),
])  # fmt: skip
def test_type_ids_are_hubspots(source: str, target: str, ids: list[int]) -> None:
    assert [one.id for one in TYPES[source, target]] == ids


def test_a_link_is_seen_from_both_sides_and_gone_from_both() -> None:
    store = AssociationStore()
    link = Link(CONTACT, "1", COMPANY, "9", 1)
    assert store.add(link) == [link._replace(type_id=279), link]
    assert store.add(link) == []
    assert store.of(COMPANY, "9", CONTACT) == {"1": (280, 2)}
    assert store.primary(CONTACT, "1", COMPANY) == "9"
    assert len(store.remove(CONTACT, "1", COMPANY, "9")) == 2
    assert (store.of(COMPANY, "9", CONTACT), list(store.all_of(CONTACT, "1"))) == ({}, [])


def test_values_are_replaced_and_never_altered() -> None:
    store = RecordStore(KINDS[CONTACT], search_lag=0)
    record = store.add({"phone": "1"}, 1000, PERSON)
    before = record.values
    kept = dict(before)
    assert store.change(record, {"phone": "2", "city": ""}, 2000, PERSON) == {"phone": "2"}
    assert before == kept
    assert (record.values["phone"], record.updated) == ("2", 2000)


def test_history_is_bounded() -> None:
    store = RecordStore(KINDS[CONTACT], search_lag=0)
    record = store.add({}, 0, PERSON)
    for number in range(LONGEST_HISTORY + 5):
        store.change(record, {"phone": str(number)}, number, PERSON)
    values = [version.value for version in record.history["phone"]]
    assert (len(values), values[-1]) == (LONGEST_HISTORY, str(LONGEST_HISTORY + 4))


def test_a_unique_value_is_free_again_when_its_record_is_gone() -> None:
    store = RecordStore(KINDS[CONTACT], search_lag=0)
    store.make_unique("email")
    record = store.add({"email": "ana@example.com"}, 0, PERSON)
    assert store.find_by("email", " ANA@example.com") is record
    store.remove(record, 1, keep=True)
    assert store.find_by("email", "ana@example.com") is None
    store.bring_back(record, 2)
    assert store.find_by("email", "ana@example.com") is record
    store.change(record, {"email": "b@example.com"}, 3, PERSON)
    assert (store.find_by("email", "ana@example.com"), store.find_by("email", "b@example.com")) == (None, record)


def test_a_fault_is_about_a_method_and_a_part_of_the_path() -> None:
    fault = Fault(id=1, kind="500", route="contacts/batch", method="post")
    assert fault.matches("POST", "/crm/v3/objects/contacts/batch/read")
    assert not fault.matches("GET", "/crm/v3/objects/contacts/batch/read")
    assert not fault.matches("POST", "/crm/v3/objects/tasks/batch/read")


def test_the_first_fault_that_matches_strikes_until_it_is_used_up() -> None:
    faults = Faults(seed=1)
    faults.add("500", route="tasks", times=2)
    always = faults.add("503")
    struck = [faults.strike("GET", path) for path in ("/tasks", "/contacts", "/tasks", "/tasks")]
    assert [one.kind for one in struck if one] == ["500", "503", "500", "503"]
    assert faults.list() == (always,)
    faults.remove(always.id)
    assert faults.strike("GET", "/tasks") is None
    assert faults.struck == {"500": 2, "503": 2}


def test_a_fault_of_no_known_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refusal, match="there is: 423, 500"):
        Faults(seed=1).add("flood")
