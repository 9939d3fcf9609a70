"""Values as the practice HubSpot takes and spells them."""

import pytest

from connector.sandbox.kinds import KINDS, find_kind
from connector.sandbox.properties import Property, standard_properties
from connector.sandbox.refusals import Flaw
from connector.sandbox.values import clean, webhook_spelling

CONTACTS = standard_properties(KINDS["0-1"], 0, unique_allowed=True).definitions


def date_only() -> Property:
    return Property(name="ready", label="Ready", type="date", field_type="date", group="g")


@pytest.mark.parametrize(("name", "given", "stored"), [
    ("firstname", "Ana", "Ana"), ("firstname", 5, "5"), ("firstname", None, ""), ("firstname", "", ""),
    ("email", " Ana@Example.COM ", "ana@example.com"),
    ("associatedcompanyid", "97000000001", "97000000001"), ("num_notes", 3, "3"), ("num_notes", "3.0", "3"),
    ("num_notes", "-2.50", "-2.5"), ("hs_email_optout", True, "true"), ("hs_email_optout", "FALSE", "false"),
    ("closedate", "2026-03-01", "2026-03-01T00:00:00Z"), ("closedate", "1772323200001", "2026-03-01T00:00:00.001Z"),
    ("closedate", 0, "1970-01-01T00:00:00Z"),
    ("closedate", "2026-03-01T10:00:00+01:00", "2026-03-01T09:00:00Z"), ("lifecyclestage", "lead", "lead"),
    ("hs_buying_role", "CHAMPION; OTHER;CHAMPION", "CHAMPION;OTHER"), ("hubspot_owner_id", "64492917", "64492917"),
])  # fmt: skip
def test_a_value_has_one_stored_spelling(name: str, given: object, stored: str) -> None:
    assert clean(CONTACTS[name], given) == stored


@pytest.mark.parametrize(("name", "given", "code"), [
    ("email", "ana", "INVALID_EMAIL"), ("email", "a@b", "INVALID_EMAIL"), ("num_notes", "nan", "INVALID_INTEGER"),
    ("num_notes", "1,5", "INVALID_INTEGER"), ("hs_email_optout", "yes", "INVALID_OPTION"),
    ("closedate", "2026-02-30", "INVALID_DATE"), ("lifecyclestage", "LEAD", "INVALID_OPTION"),
    ("hs_buying_role", "CHAMPION;champion", "INVALID_OPTION"), ("firstname", "x" * 65_537, "PROPERTY_VALUE_TOO_LONG"),
])  # fmt: skip
def test_a_value_that_does_not_fit_has_a_code(name: str, given: object, code: str) -> None:
    flaw = clean(CONTACTS[name], given)
    assert isinstance(flaw, Flaw)
    assert (flaw.name, flaw.code) == (name, code)


def test_a_leading_semicolon_appends_to_what_is_there() -> None:
    assert clean(CONTACTS["hs_buying_role"], ";OTHER", current="CHAMPION") == "CHAMPION;OTHER"
    assert clean(CONTACTS["hs_buying_role"], ";OTHER") == "OTHER"


def test_a_date_must_be_midnight() -> None:
    assert clean(date_only(), "1772323200000") == "2026-03-01"
    assert isinstance(clean(date_only(), "1772323200001"), Flaw)


def test_webhooks_spell_dates_as_milliseconds_and_the_rest_as_it_is() -> None:
    assert webhook_spelling(date_only(), "2026-03-01") == "1772323200000"
    assert webhook_spelling(CONTACTS["closedate"], "2026-03-01T00:00:00.001Z") == "1772323200001"
    assert webhook_spelling(CONTACTS["closedate"], "") == ""
    assert webhook_spelling(CONTACTS["phone"], "2026-03-01") == "2026-03-01"


@pytest.mark.parametrize("name", ["contacts", "contact", "0-1", "Contacts"])
def test_a_kind_is_found_by_each_of_its_names(name: str) -> None:
    assert find_kind(name) == KINDS["0-1"]
    assert find_kind("unicorns") is None
