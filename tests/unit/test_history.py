"""Who set a value is read from its history, and named the same for every contact."""

import pytest

from connector.rivals.history import Version, versions_of


def version(source: str, source_id: str = "", label: str = "") -> Version:
    return Version(value="x", moment=1, source=source, source_id=source_id, label=label)


@pytest.mark.parametrize(
    ("source", "source_id", "label", "name"),
    [
        ("AUTOMATION_PLATFORM", "123", "", "workflow 123 (AUTOMATION_PLATFORM)"),
        ("AUTOMATION_PLATFORM", "workflowId:123;enrollmentId:99", "", "workflow 123 (AUTOMATION_PLATFORM)"),
        ("AUTOMATION_PLATFORM", "enrollmentId:99;actionExecutionIndex:2", "", "workflow (AUTOMATION_PLATFORM)"),
        ("AUTOMATION_PLATFORM", "enrollmentId:9", "Back to start", "workflow 'Back to start' (AUTOMATION_PLATFORM)"),
        ("INTEGRATION", "7002", "", "app 7002 (INTEGRATION)"),
        ("SALESFORCE", "", "", "automation (SALESFORCE)"),
        ("", "", "", "automation (no source)"),
    ],
)
def test_an_author_has_a_name(source: str, source_id: str, label: str, name: str) -> None:
    assert version(source, source_id, label).author == name


@pytest.mark.parametrize(
    ("source", "source_id", "by_hand", "by_automation"),
    [
        ("CRM_UI", "userId:1", True, False), ("CRM_UI_BULK_ACTION", "", True, False),
        ("SOMETHING_NEW", "userId:1", True, False), ("FORM", "f-1", False, False), ("IMPORT", "5", False, False),
        ("AUTOMATION_PLATFORM", "1", False, True), ("INTEGRATION", "7", False, True), ("CALCULATED", "", False, True),
    ],
)  # fmt: skip
def test_people_are_told_from_automations(source: str, source_id: str, by_hand: bool, by_automation: bool) -> None:
    one = version(source, source_id)
    assert (one.by_hand, one.by_automation) == (by_hand, by_automation)


def test_a_history_is_read_from_the_oldest_to_the_newest_also_within_one_moment() -> None:
    entries = [
        {"value": "c", "timestamp": "2026-01-02T00:00:00Z", "sourceType": "CRM_UI", "sourceId": "userId:1"},
        {"value": "b", "timestamp": "2026-01-02T00:00:00Z", "sourceType": "FORM", "sourceLabel": None},
        {"value": None, "timestamp": "2026-01-01T00:00:00Z"},
    ]
    record = {"propertiesWithHistory": {"stage": entries}}
    assert [(each.value, each.source) for each in versions_of(record, "stage")] == [
        ("", ""), ("b", "FORM"), ("c", "CRM_UI"),
    ]  # fmt: skip


@pytest.mark.parametrize("record", [{}, {"propertiesWithHistory": None}, {"propertiesWithHistory": {"stage": None}}])
def test_no_history_is_an_empty_one(record: dict[str, object]) -> None:
    assert versions_of(record, "stage") == []
