"""What is asked of HubSpot for a pack, and how what comes back is held."""

from connector.snapshot import WRITTEN, Snapshot, Wanted, snapshot_of
from tests.rulebooks import pack_of

HEAD = "version: 1\npack: asked\nladder: [contact]\n"
PLAIN = HEAD + """
facts: {asked: {sk_source: {is: inbound}}}
stages: [{id: all, stage: contact, when: asked, because: x}]
"""
FULL = HEAD + """
facts:
  asked: {sk_source: {is: inbound}}
  vendor: {company.type: {is: VENDOR}}
  busy: {any_deal: {dealstage: {is: contractsent}}}
stages: [{id: all, stage: contact, when: {any: [asked, vendor, busy]}, because: x}]
values: [{id: v, when: asked, set: {my_property: "1"}}]
tasks:
  - {id: t, when: asked, title: "{{ contact.nickname }} of {{ company.name }}"}
"""
ALWAYS = {"email", "hubspot_owner_id", "lifecyclestage", "hs_merged_object_ids"}


def test_a_pack_asks_for_what_it_names_and_no_more() -> None:
    wanted = Wanted.by(pack_of(PLAIN))
    assert wanted.rule_inputs == {"sk_source"}
    assert wanted.contact == {"sk_source", *WRITTEN, *ALWAYS}
    assert (wanted.company, wanted.deals, wanted.reads_deals) == (frozenset(), frozenset(), False)


def test_texts_values_company_and_deals_are_asked_for_where_the_pack_names_them() -> None:
    wanted = Wanted.by(pack_of(FULL))
    assert wanted.rule_inputs == {"sk_source"}
    assert wanted.contact == {"sk_source", "nickname", "my_property", "associatedcompanyid", *WRITTEN, *ALWAYS}
    assert wanted.company == {"type", "name"}
    assert (wanted.deals, wanted.reads_deals) == (frozenset({"dealstage"}), True)


def test_a_snapshot_holds_what_was_asked_for_as_text() -> None:
    record = {"id": "7", "properties": {"sk_source": "inbound", "email": None, "num": 5, "lifecyclestage": "lead"}}
    found = snapshot_of("7", record, Wanted.by(pack_of(PLAIN)))
    assert found == Snapshot(
        contact="7", properties={"sk_source": "inbound", "email": None, "lifecyclestage": "lead"}, company={}, deals=()
    )


def test_company_and_deals_are_unread_until_they_are_read() -> None:
    found = snapshot_of("7", {"properties": {"associatedcompanyid": "9"}}, Wanted.by(pack_of(FULL)))
    assert (found.company, found.deals, found.company_id) == (None, None, "9")


def test_an_answer_without_properties_is_an_empty_contact() -> None:
    wanted = Wanted.by(pack_of(PLAIN))
    for record in ({}, {"properties": None}, {"properties": []}):
        assert snapshot_of("7", record, wanted).properties == {}


def test_the_fingerprint_depends_on_what_the_rules_read_and_on_nothing_else() -> None:
    def print_of(**properties: str | None) -> str:
        return Snapshot(contact="7", properties=properties, company={}, deals=()).fingerprint({"sk_source"})

    assert print_of(sk_source="inbound", email="a") == print_of(email="b", sk_source="inbound")
    assert print_of(sk_source=None) == print_of() == print_of(sk_source="")
    assert print_of(sk_source="inbound") != print_of(sk_source="event")


def test_the_fingerprint_knows_company_and_deals() -> None:
    one = Snapshot(contact="7", properties={}, company={"type": "VENDOR"}, deals=())
    other = Snapshot(contact="7", properties={}, company={"type": "PARTNER"}, deals=())
    third = Snapshot(contact="7", properties={}, company={"type": "VENDOR"}, deals=({"dealstage": "x"},))
    assert len({each.fingerprint(()) for each in (one, other, third)}) == 3
