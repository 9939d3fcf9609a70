"""An event says "look at this contact"; what cannot be understood is kept with the reason and harms no neighbour."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.events import KNOWN_TYPES, BodyUnreadable, Event, read_events

CHANGE: dict[str, object] = {
    "eventId": 4101286121, "subscriptionId": 7562680, "portalId": 247187887, "appId": 50780459,
    "occurredAt": 1787843156000, "subscriptionType": "contact.propertyChange", "attemptNumber": 1,
    "objectId": 541935488729, "propertyName": "email", "propertyValue": "a@example.com",
    "changeSource": "INTEGRATION", "sourceId": "50780459",
}  # fmt: skip


def read(*bodies: dict[str, object]) -> list[Event]:
    return read_events(orjson.dumps(bodies))


def changed(**fields: object) -> dict[str, object]:
    """Change some fields; None takes one away."""
    return {name: value for name, value in {**CHANGE, **fields}.items() if value is not None}


def contacts(**fields: object) -> list[str | None]:
    return [event.contact for event in read(changed(**fields))]


def test_a_property_change_names_its_portal_contact_and_time() -> None:
    (event,) = read(CHANGE)
    assert event == Event(
        portal=247187887,
        type="contact.propertyChange",
        contact="541935488729",
        key=event.key,
        occurred_at=1787843156000,
        body=orjson.dumps(CHANGE).decode(),
        app="50780459",
    )


@pytest.mark.parametrize("change", ["creation", "deletion", "restore", "propertyChange", "privacyDeletion"])
def test_every_change_of_a_contact_is_known(change: str) -> None:
    (event,) = read(changed(subscriptionType=f"contact.{change}"))
    assert event.type in KNOWN_TYPES
    assert (event.contact, event.malformed) == ("541935488729", None)


def test_the_type_may_stand_under_either_name() -> None:
    (event,) = read(changed(subscriptionType=None, eventType="contact.creation"))
    assert event.type == "contact.creation"


def test_generic_and_classic_events_of_a_contact_are_one() -> None:
    classic = read(CHANGE)[0]
    generic = read(changed(subscriptionType="object.propertyChange", objectTypeId="0-1", subscriptionId=5,
                           attemptNumber=3, isSensitive=False))[0]  # fmt: skip
    assert (generic.type, generic.key, generic.contact) == (classic.type, classic.key, classic.contact)


def test_a_redelivery_has_the_same_key() -> None:
    assert {read(changed(attemptNumber=n, subscriptionId=n))[0].key for n in range(8)} == {read(CHANGE)[0].key}


@pytest.mark.parametrize(
    "other",
    [{"portalId": 1}, {"objectId": 1}, {"propertyName": "x"}, {"propertyValue": "x"}, {"occurredAt": 1}, {"eventId": 1},
     {"subscriptionType": "contact.creation"}],
)  # fmt: skip
def test_another_change_has_another_key(other: dict[str, object]) -> None:
    assert read(changed(**other))[0].key != read(CHANGE)[0].key


def test_keys_are_in_order_of_time() -> None:
    keys = [read(changed(occurredAt=moment))[0].key for moment in (0, 1, 1787843156000, 1787843156001, 10**14)]
    assert keys == sorted(keys)
    assert {len(key) for key in keys} == {28}


def test_a_merge_is_about_every_contact_that_it_names() -> None:
    merge = {"subscriptionType": "contact.merge", "objectId": None, "primaryObjectId": 1, "newObjectId": 3}
    assert contacts(**merge, mergedObjectIds=[2, 2, "4"]) == ["3", "1", "2", "4"]
    assert contacts(**merge, mergedObjectIds=None) == ["3", "1"]
    assert len({event.key for event in read(changed(**merge, mergedObjectIds=[2]))}) == 3


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"subscriptionType": "contact.associationChange", "associationType": "CONTACT_TO_DEAL"}, ["7"]),
        ({"subscriptionType": "contact.associationChange", "associationType": "COMPANY_TO_CONTACT"}, ["8"]),
        ({"subscriptionType": "contact.associationChange", "associationType": "CONTACT_TO_CONTACT"}, ["7", "8"]),
        ({"subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_CONTACT"}, ["8"]),
        ({"subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_COMPANY"}, [None]),
        ({"subscriptionType": "contact.associationChange", "associationType": None, "objectId": 9}, ["9"]),
        ({"subscriptionType": "contact.associationChange", "associationType": None}, ["7"]),
        ({"subscriptionType": "object.associationChange", "objectTypeId": "0-3", "fromObjectTypeId": "0-3",
          "toObjectTypeId": "0-1"}, ["8"]),
        ({"subscriptionType": "object.associationChange", "fromObjectTypeId": "0-1", "toObjectTypeId": "0-2"}, ["7"]),
    ],
)  # fmt: skip
def test_an_association_is_about_the_contact_on_either_side(fields: dict[str, object], expected: list[str]) -> None:
    assert contacts(**{"objectId": None, "fromObjectId": 7, "toObjectId": 8, **fields}) == expected


def test_a_change_of_a_company_or_deal_itself_names_no_contact() -> None:
    for name in ("company.propertyChange", "deal.creation"):
        (event,) = read(changed(subscriptionType=name))
        assert (event.type, event.contact, event.malformed) == (name, None, None)


@pytest.mark.parametrize("identity", [1, "1", 2**63 - 1, str(2**63 - 1), 541935488729])
def test_ids_are_read_as_numbers_and_as_text(identity: object) -> None:
    assert contacts(objectId=identity) == [str(identity)]


@pytest.mark.parametrize(
    "identity",
    [True, False, 0, -1, "", "0", "007", "-5", "1.5", 1.5, 2**63, 2**64, "9" * 5_000, " 1", "١", [1], {"a": 1}],
)
def test_what_can_be_no_id_makes_the_event_malformed(identity: object) -> None:
    raw = orjson.dumps([changed(objectId="THE ID")]).replace(b'"THE ID"', orjson_or_big(identity))
    (event,) = read_events(raw)
    assert event.contact is None
    assert event.malformed is not None
    assert event.malformed.startswith("objectId: found ")
    assert len(event.malformed) <= 200


def orjson_or_big(value: object) -> bytes:
    return str(value).encode() if type(value) is int else orjson.dumps(value)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"portalId": None}, "portalId: found None; expected a positive whole number"),
        ({"portalId": "x"}, "portalId: found 'x'; expected a positive whole number"),
        ({"subscriptionType": None}, "subscriptionType: found None; expected a name such as contact.propertyChange"),
        ({"subscriptionType": 5}, "subscriptionType: found 5; expected a name such as contact.propertyChange"),
        ({"objectId": None}, "objectId: found None; expected a positive whole number"),
    ],
)
def test_a_malformed_event_says_why_and_its_neighbours_are_read(fields: dict[str, object], reason: str) -> None:
    first, second, third = read(CHANGE, changed(**fields), changed(objectId=2))
    assert (first.malformed, second.malformed, third.malformed) == (None, reason, None)
    assert (second.contact, third.contact) == (None, "2")


def test_a_malformed_event_delivered_again_has_the_same_key() -> None:
    bodies = [changed(objectId="x", attemptNumber=n) for n in range(3)]
    assert len({event.key for event in read(*bodies)}) == 1


def test_an_event_that_is_nested_too_deeply_to_be_kept_is_malformed() -> None:
    deep = orjson.dumps([CHANGE, changed(propertyValue="DEEP")]).replace(b'"DEEP"', b"[" * 500 + b"]" * 500)
    good, bad = read_events(deep)
    assert good.malformed is None
    assert bad.malformed == "body: nested too deeply; expected plain values"
    assert "propertyValue" not in orjson.loads(bad.body)


@pytest.mark.parametrize("moment", [None, "soon", -1, 1.5, True, 10**16, [1]])
def test_a_time_that_cannot_be_read_is_no_reason_not_to_look(moment: object) -> None:
    (event,) = read(changed(occurredAt=moment))
    assert (event.contact, event.occurred_at, event.malformed) == ("541935488729", None, None)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"null", b'"x"', b"5", b"[1]", b"[null]", b"[[]]", b'[{"a":1},2]', b"[{]", b"[{}] x", b"\xff\xfe",
        b'[{"a":"\xff"}]', b'[{"a":NaN}]', b'[{"a":"\\ud80"}]', b"[" * 5_000 + b"]" * 5_000, b"\xef\xbb\xbf[]",
    ],
)  # fmt: skip
def test_what_is_no_array_of_objects_is_refused(raw: bytes) -> None:
    with pytest.raises(BodyUnreadable):
        read_events(raw)


@pytest.mark.parametrize(
    "odd",
    [b'"cut \\ud83d"', b'["\\ude00"]', b'{"\\ud83d":1}', b"1e400", b"-1e999", b"9" * 5_000, b"[18446744073709551616]"],
)  # fmt: skip
def test_a_value_that_is_json_and_yet_odd_harms_no_neighbour(odd: bytes) -> None:
    raw = orjson.dumps([CHANGE, changed(objectId=7, propertyValue="ODD")]).replace(b'"ODD"', odd)
    first, second = read_events(raw)
    assert first == read(CHANGE)[0]
    assert (second.contact, second.malformed) == ("7", None)
    assert isinstance(orjson.loads(second.body.encode()), dict)


def test_an_empty_array_holds_no_events() -> None:
    assert read_events(b" [ ] ") == []


def test_the_last_of_duplicate_keys_counts_everywhere() -> None:
    raw = b'[{"portalId":1,"portalId":2,"subscriptionType":"contact.creation","objectId":1,"objectId":3}]'
    (event,) = read_events(raw)
    assert (event.portal, event.contact) == (2, "3")
    assert orjson.loads(event.body)["portalId"] == 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    [*CHANGE, "fromObjectId", "toObjectId", "associationType", "mergedObjectIds", "newObjectId", "objectTypeId",
     "primaryObjectId", "fromObjectTypeId", "eventType"]
)  # fmt: skip
TYPES = st.sampled_from([*sorted(KNOWN_TYPES), "object.merge", "object.associationChange", "object.x", "x", "."])


@given(st.lists(st.tuples(st.dictionaries(FIELDS, VALUES), TYPES), max_size=4))
def test_every_object_becomes_events_that_can_be_stored(bodies: list[tuple[dict[str, object], str]]) -> None:
    given_bodies = [{**body, "subscriptionType": name} for body, name in bodies]
    for event in read_events(orjson.dumps(given_bodies)):
        assert event.portal is None or 0 < event.portal < 2**63
        assert event.portal is not None or event.malformed
        assert event.occurred_at is None or 0 < event.occurred_at < 2**63
        assert len(event.type) <= 80
        assert len(event.key) <= 64
        assert len(event.malformed or "") <= 200
        assert event.contact is None or (len(event.contact) <= 19 and event.contact.isdigit())
        assert isinstance(orjson.loads(event.body), dict)
