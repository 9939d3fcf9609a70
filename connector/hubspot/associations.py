"""Which records belong to which: a thousand records a call, all pages of each.

A record that has none is reported by HubSpot as an error inside a 207; here it simply has none.
https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from collections.abc import Iterable, Mapping

from connector.hubspot.failure import HubSpotError
from connector.hubspot.meaning import meanings_within, unclear
from connector.hubspot.official import Official
from connector.hubspot.records import is_id
from connector.hubspot.transport import Answer

MOST_INPUTS = 1_000
_MOST_PAGES = 500


def read_associations(official: Official, kind: str, other: str, ids: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Give for every one of these records the ids of the others that belong to it, each once, in HubSpot's order.

    Raises HubSpotError when the answer for any of them is not certain: "none" must never be a guess.
    """
    wanted = list(dict.fromkeys(ids))
    found: dict[str, dict[str, None]] = {each: {} for each in wanted}
    known = [each for each in wanted if is_id(each)]
    for start in range(0, len(known), MOST_INPUTS):
        _follow(official, kind, other, dict.fromkeys(known[start : start + MOST_INPUTS], ""), found)
    return {each: tuple(others) for each, others in found.items()}


def _follow(
    official: Official, kind: str, other: str, cursors: Mapping[str, str], found: Mapping[str, dict[str, None]]
) -> None:
    """Read page after page until no record has another."""
    for _ in range(_MOST_PAGES):
        inputs = [{"id": each, "after": after} if after else {"id": each} for each, after in cursors.items()]
        answer = official.call("crm.associations.v4.batch_api.get_page", kind, other, {"inputs": inputs})
        following = _read_page(answer, found)
        if not following:
            return
        if following == cursors:
            break
        cursors = following
    raise HubSpotError(meaning=unclear(f"the pages of the associations from {kind} to {other} do not end"))


def _read_page(answer: Answer, found: Mapping[str, dict[str, None]]) -> dict[str, str]:
    """Note the associations of one page, and give the cursors of the records that have more."""
    for meaning in meanings_within(answer.body):
        if meaning.kind != "gone":  # NO_ASSOCIATIONS_FOUND, or no such record: nothing belongs to it
            raise HubSpotError(meaning=meaning)
    results = answer.body.get("results") if isinstance(answer.body, dict) else None
    if not isinstance(results, list):
        raise HubSpotError(meaning=unclear("the answer holds no results", status=answer.status))
    cursors: dict[str, str] = {}
    for result in _dicts(results):
        each = str(_dict(result.get("from")).get("id"))
        if each not in found:
            continue
        others = (str(to.get("toObjectId") or "") for to in _dicts(result.get("to")))
        found[each].update(dict.fromkeys(other for other in others if is_id(other)))
        after = _dict(_dict(result.get("paging")).get("next")).get("after")
        if after:
            cursors[each] = str(after)
    return cursors


def _dict(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[Mapping[str, object]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
