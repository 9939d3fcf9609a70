"""Set-up: makes what is missing, and leaves what is there as its owners made it."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from requests import PreparedRequest

from connector.hubspot.failure import HubSpotError
from connector.hubspot.setup import set_up
from connector.properties import CONTACT_PROPERTIES, MARKERS, Definition
from tests.hubspot_portals import API, a_portal

PATH = re.compile(rf"{API}/crm/v3/properties/(\w+)(/groups)?(?:/(\w+))?(?:\?.*)?$")
Reply = tuple[int, dict[str, str], str]


class Portal:
    """Property definitions as HubSpot keeps them; options are replaced as a whole."""

    def __init__(self, hubspot: responses.RequestsMock) -> None:
        self.properties: dict[tuple[str, str], dict[str, Any]] = {}
        self.groups: dict[tuple[str, str], dict[str, Any]] = {("tasks", "task_information"): {}}
        self.groups_refused: set[str] = set()
        self.hidden: set[tuple[str, str]] = set()
        """Made by somebody else a moment ago: not yet in the list."""
        self.calls: Counter[str] = Counter()
        for method in ("GET", "POST", "PATCH"):
            hubspot.add_callback(method, PATH, self.answer)

    def answer(self, request: PreparedRequest) -> Reply:
        match = PATH.match(request.url or "")
        assert match
        self.calls[request.method or ""] += 1
        body = json.loads(request.body) if request.body else {}
        held = self.groups if match[2] else self.properties
        status, found = self._in(held, request.method or "", match[1], match[3], body)
        return status, {}, json.dumps(found)

    def _in(self, held: Any, method: str, kind: str, name: str | None, body: Any) -> tuple[int, object]:
        if method == "GET" and name is None:
            listed = [{"name": key[1], **each} for key, each in held.items() if key[0] == kind]
            return 200, {"results": [each for each in listed if (kind, each["name"]) not in self.hidden]}
        key = (kind, name or body["name"])
        if method == "POST":
            if held is self.groups and kind in self.groups_refused:
                return 400, {"category": "VALIDATION_ERROR"}
            if key in held:
                return 409, {"category": "CONFLICT"}
            held[key] = body
            return 201, body
        if key not in held:
            return 404, {"message": "resource not found"}
        held[key].update(body)
        return 200, {"name": key[1], **held[key]}


@pytest.fixture
def portal() -> Iterator[Portal]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Portal(mock)


def outcomes() -> Counter[str]:
    return Counter(step.outcome for step in set_up(a_portal()))


def step_of(name: str) -> tuple[str, str]:
    return next((step.outcome, step.text) for step in set_up(a_portal()) if step.name == name)


def test_an_empty_portal_gets_everything_and_a_second_run_finds_it(portal: Portal) -> None:
    everything = len(CONTACT_PROPERTIES) + len(MARKERS) + 3
    assert outcomes() == {"made": everything}
    portal.calls.clear()
    assert (outcomes(), portal.calls["POST"], portal.calls["PATCH"]) == ({"found": everything}, 0, 0)
    assert portal.calls["GET"] == 6


def test_what_is_made_is_what_the_table_says(portal: Portal) -> None:
    list(set_up(a_portal()))
    made = portal.properties["contacts", "sk_need"]
    assert (made["groupName"], made["type"], made["fieldType"], made["formField"]) == (
        "stagekeeper", "enumeration", "select", True,
    )  # fmt: skip
    assert [(each["value"], each["displayOrder"]) for each in made["options"]] == [
        ("none", 0), ("possible", 1), ("definite", 2),
    ]  # fmt: skip
    kinds = {name: portal.properties["contacts", name] for name in ("sk_interest", "sk_reason", "sk_decided_at")}
    assert {name: (each["type"], each["fieldType"]) for name, each in kinds.items()} == {
        "sk_interest": ("enumeration", "checkbox"),
        "sk_reason": ("string", "textarea"),
        "sk_decided_at": ("datetime", "date"),
    }
    assert portal.properties["tasks", "sk_key"]["type"] == portal.properties["deals", "sk_key"]["type"] == "string"


def test_options_that_customers_added_are_kept_when_missing_ones_are_added(portal: Portal) -> None:
    list(set_up(a_portal()))
    own = {"value": "urgent", "label": "Urgent!", "displayOrder": 7, "hidden": False}
    portal.properties["contacts", "sk_need"]["options"] = [own]
    assert step_of("sk_need") == ("changed", "contacts: property sk_need: options added: none, possible, definite")
    options = portal.properties["contacts", "sk_need"]["options"]
    assert [(each["value"], each["displayOrder"]) for each in options] == [
        ("urgent", 7), ("none", 8), ("possible", 9), ("definite", 10),
    ]  # fmt: skip


def test_labels_and_descriptions_that_admins_changed_stay_theirs(portal: Portal) -> None:
    list(set_up(a_portal()))
    portal.properties["contacts", "sk_need"]["label"] = "Bedarf"
    assert step_of("sk_need")[0] == "found"
    assert portal.properties["contacts", "sk_need"]["label"] == "Bedarf"


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("sk_need", {"type": "string"}, "is of type 'string' and should be 'enumeration'; nothing was changed"),
        ("sk_interest", {"fieldType": "select"}, "should take several values; nothing was changed"),
        ("sk_need", {"fieldType": "checkbox"}, "should take one value; nothing was changed"),
    ],
)
def test_a_property_of_another_type_is_reported_and_left_alone(
    portal: Portal, name: str, change: dict[str, str], words: str
) -> None:
    list(set_up(a_portal()))
    portal.properties["contacts", name].update(change)
    outcome, text = step_of(name)
    assert (outcome, words in text) == ("differs", True)
    assert portal.calls["PATCH"] == 0


def test_a_property_that_somebody_else_makes_at_the_same_time_is_found(portal: Portal) -> None:
    list(set_up(a_portal()))
    portal.hidden = {("contacts", "sk_need"), ("contacts", "stagekeeper")}
    assert (step_of("sk_need")[0], step_of("stagekeeper")[0]) == ("found", "found")


def test_a_property_in_the_recycle_bin_is_reported(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    list(set_up(a_portal()))
    inside = portal._in

    def binned(held: Any, method: str, kind: str, name: str | None, body: Any) -> tuple[int, object]:
        status, found = inside(held, method, kind, name, body)
        return (404, {"message": "resource not found"}) if name == "sk_need" else (status, found)

    portal.hidden = {("contacts", "sk_need")}
    monkeypatch.setattr(portal, "_in", binned)
    assert step_of("sk_need")[0] == "differs"


def test_where_a_group_is_refused_the_standard_one_is_taken(portal: Portal) -> None:
    portal.groups_refused = {"tasks"}
    list(set_up(a_portal()))
    assert portal.properties["tasks", "sk_key"]["groupName"] == "task_information"


def test_where_no_group_is_left_the_refusal_is_told(portal: Portal) -> None:
    portal.groups_refused = {"contacts"}
    with pytest.raises(HubSpotError):
        list(set_up(a_portal()))


def test_every_option_and_every_name_stands_once() -> None:
    names = Counter((each.object_type, each.name) for each in (*CONTACT_PROPERTIES, *MARKERS))
    assert set(names.values()) == {1}
    assert all(len({value for value, _ in each.options}) == len(each.options) for each in CONTACT_PROPERTIES)


def test_every_property_has_what_people_need_to_understand_it() -> None:
    def is_described(each: Definition) -> bool:
        return bool(each.label and each.description and re.fullmatch(r"sk_[a-z_]+", each.name))

    assert [each.name for each in (*CONTACT_PROPERTIES, *MARKERS) if not is_described(each)] == []


def test_only_the_transport_imports_requests() -> None:
    package = Path(__file__).parents[2] / "connector" / "hubspot"
    imports = re.compile(r"^(import|from) requests", re.MULTILINE)
    importing = {path.name for path in package.glob("*.py") if imports.search(path.read_text())}
    assert importing == {"transport.py"}
