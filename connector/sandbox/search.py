"""Search as HubSpot has it: late, limited to 10,000 results, with operators by property type.

It sees records as they were `search_lag_ms` ago, and neither archived nor deleted ones.
https://developers.hubspot.com/docs/api-reference/search/guide
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from connector.moments import read_moment
from connector.sandbox import pictures
from connector.sandbox.exchange import Answer, Call, names_of
from connector.sandbox.portal import Portal
from connector.sandbox.properties import Property
from connector.sandbox.records import Record, SearchIndex, Values
from connector.sandbox.refusals import JsonObject, invalid

MOST_RESULTS = 10_000
_LARGEST_PAGE = 200
_MOST_GROUPS, _MOST_FILTERS, _MOST_IN_ALL, _LONGEST_BODY = 5, 6, 18, 3000
_TEXT_FIELDS = ("email", "firstname", "lastname", "phone", "company", "name", "domain", "dealname", "hs_task_subject")
Test = Callable[[Values], bool]
Comparable = float | str


def search(portal: Portal, call: Call) -> Answer:
    """Answer `POST /crm/objects/{type}/search`."""
    kind = call.kind()
    body = call.json()
    definitions = portal.properties[kind.id].definitions
    limit, after = _page(body, call)
    filters = _filters(body)
    for one in (one for group in filters for one in group):
        _test(definitions, one)
    index = portal.records[kind.id].index
    index.catch_up(portal.now())
    found = _found(index, definitions, filters, str(body.get("query") or ""))
    found = _sorted(found, index.seen, definitions, body.get("sorts") or [])
    names = pictures.known_names(portal, kind.id, names_of(body, "properties"))
    shown = [_show(portal, kind.id, index, one, names) for one in found[after : after + limit]]
    answer: JsonObject = {"total": len(found), "results": shown}
    if after + limit < len(found):
        answer["paging"] = {"next": {"after": str(after + limit), "link": f"https://api.hubapi.com{call.path}"}}
    return Answer(200, answer)


def _page(body: JsonObject, call: Call) -> tuple[int, int]:
    if len(call.body) > _LONGEST_BODY:
        raise invalid(f"A search may have at most {_LONGEST_BODY} characters")
    limit, after = body.get("limit", 10), call.cursor(body.get("after") or 0)
    if not isinstance(limit, int) or not 0 <= limit <= _LARGEST_PAGE:
        raise invalid(f"limit must be a number up to {_LARGEST_PAGE}; it was {limit!r}")
    if after + limit > MOST_RESULTS:
        raise invalid(f"Paging through more than {MOST_RESULTS} results of a search is not possible")
    return limit, after


def _filters(body: JsonObject) -> list[list[JsonObject]]:
    groups = body.get("filterGroups") or []
    if not isinstance(groups, list) or not all(isinstance(one, dict) for one in groups):
        raise invalid("Invalid input JSON: filterGroups must be a list of objects")
    filters = [group.get("filters") or [] for group in groups]
    if not all(isinstance(group, list) and all(isinstance(one, dict) for one in group) for group in filters):
        raise invalid("Invalid input JSON: filters must be lists of objects")
    too_many = len(groups) > _MOST_GROUPS or any(len(group) > _MOST_FILTERS for group in filters)
    if too_many or sum(map(len, filters)) > _MOST_IN_ALL:
        raise invalid(
            f"A search has at most {_MOST_GROUPS} groups of {_MOST_FILTERS} filters and {_MOST_IN_ALL} filters in all"
        )
    return filters


def _test(definitions: Mapping[str, Property], given: JsonObject) -> Test:
    name, operator = str(given.get("propertyName", "")), str(given.get("operator", ""))
    definition = definitions.get(name)
    if definition is None:
        raise invalid(f"There was a problem with the request: property {name!r} does not exist")
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return lambda values: (name in values) == (operator == "HAS_PROPERTY")
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        return _token_test(name, str(given.get("value", "")), wanted=operator == "CONTAINS_TOKEN")
    if operator in ("IN", "NOT_IN"):
        return _in_test(definition, given.get("values"), wanted=operator == "IN")
    compare = _COMPARISONS.get(operator)
    if compare is None:
        raise invalid(f"{operator!r} is no operator; there is: {', '.join(_OPERATORS)}")
    if "value" not in given or (operator == "BETWEEN" and "highValue" not in given):
        raise invalid(f"{operator} needs a value, BETWEEN a highValue too")
    low = _comparable(definition.type, str(given["value"]))
    high = _comparable(definition.type, str(given.get("highValue", given["value"])))
    return _compare_test(name, definition.type, lambda have: compare(have, low, high), missing=operator == "NEQ")


def _compare_test(name: str, of_type: str, holds: Callable[[Any], bool], *, missing: bool) -> Test:
    def test(values: Values) -> bool:
        value = values.get(name)
        if value is None:
            return missing
        have = _comparable(of_type, value)
        return holds(have)

    return test


def _in_test(definition: Property, wanted_values: object, *, wanted: bool) -> Test:
    if not isinstance(wanted_values, list):
        raise invalid("IN and NOT_IN need values")
    # Text must be given in lower case here, HubSpot demands; options are compared as they are.
    options = {str(one) for one in wanted_values}
    fold = definition.type == "string"
    name = definition.name

    def test(values: Values) -> bool:
        value = values.get(name)
        if value is None:
            return not wanted
        parts = value.lower().split("\0") if fold else value.split(";")
        return any(part in options for part in parts) == wanted

    return test


def _token_test(name: str, text: str, *, wanted: bool) -> Test:
    pattern = re.compile("".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", text.lower())))

    def test(values: Values) -> bool:
        tokens = [*re.findall(r"[\w.@+-]+", values.get(name, "").lower()), values.get(name, "").lower()]
        return any(pattern.fullmatch(token) for token in tokens) == wanted

    return test


@lru_cache(maxsize=200_000)
def _comparable(of_type: str, text: str) -> Comparable:
    if of_type == "number":
        try:
            return float(text)
        except ValueError:
            raise invalid(f"{text!r} is no number") from None
    if of_type in ("date", "datetime"):
        if text.isdigit():
            return float(text)
        moment = read_moment(text)
        if moment is None:
            raise invalid(f"{text!r} is no date")
        return float(moment[0])
    return text.lower() if of_type == "string" else text


_COMPARISONS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "EQ": lambda have, low, _: have == low,
    "NEQ": lambda have, low, _: have != low,
    "LT": lambda have, low, _: have < low,
    "LTE": lambda have, low, _: have <= low,
    "GT": lambda have, low, _: have > low,
    "GTE": lambda have, low, _: have >= low,
    "BETWEEN": lambda have, low, high: low <= have <= high,
}
_OPERATORS = (*_COMPARISONS, "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN")


def _found(
    index: SearchIndex, definitions: Mapping[str, Property], filters: list[list[JsonObject]], query: str
) -> list[str]:
    """Find what fits, in order of ids.

    Reading a large portal in windows of ids asks the same question again and again; the answer without the window is
    remembered until the index changes.
    """
    start = 0.0
    if len(filters) == 1:
        windows = [one for one in filters[0] if _is_window(one)]
        start = max((float(one["value"]) for one in windows), default=0.0)
        filters = [[one for one in filters[0] if not _is_window(one)]]
    question = (index.version, orjson.dumps([filters, query]))
    if index.remembered[0] != question:
        groups = [[_test(definitions, one) for one in group] for group in filters]
        fits = [one for one in index.order if _fits(index.seen[str(one)], groups, query)]
        index.remembered = (question, fits)
    ids = index.remembered[1]
    return [str(one) for one in ids[bisect_right(ids, start) :]]


def _is_window(one: JsonObject) -> bool:
    return (one["propertyName"], one["operator"]) == ("hs_object_id", "GT")


def _fits(values: Values, groups: Sequence[Sequence[Test]], query: str) -> bool:
    if groups and not any(all(test(values) for test in group) for group in groups):
        return False
    return not query or any(query.lower() in values.get(name, "").lower() for name in _TEXT_FIELDS)


def _sorted(
    ids: list[str], seen: Mapping[str, Values], definitions: Mapping[str, Property], sorts: object
) -> list[str]:
    if not isinstance(sorts, list) or len(sorts) > 1:
        raise invalid("A search takes a list of one sort")
    if not sorts:
        return ids
    sort = sorts[0] if isinstance(sorts[0], dict) else {"propertyName": str(sorts[0])}
    name = str(sort.get("propertyName"))
    definition = definitions.get(name)
    if definition is None:
        raise invalid(f"There was a problem with the request: property {name!r} does not exist")
    backwards = sort.get("direction") == "DESCENDING"
    if name == "hs_object_id":
        return ids[::-1] if backwards else ids
    have = [one for one in ids if name in seen[one]]
    have.sort(key=lambda one: _comparable(definition.type, seen[one][name]), reverse=backwards)
    return have + [one for one in ids if name not in seen[one]]


def _show(portal: Portal, kind: str, index: SearchIndex, record_id: str, names: Sequence[str]) -> JsonObject:
    record = portal.records[kind].live.get(record_id)
    created = record.created if record else 0
    old = Record(id=record_id, kind=portal.records[kind].kind, values=index.seen[record_id], created=created, updated=0)
    return pictures.picture(portal, old, names)
