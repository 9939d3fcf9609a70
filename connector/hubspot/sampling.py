"""Some contacts of a portal, drawn at random, for a few calls instead of a listing of all.

Ids grow with time, and contacts of one import follow each other; so the span of ids is cut into many equal parts, and
of each a few are taken that follow a random id. The price: contacts after a gap in the ids are drawn more often.
https://developers.hubspot.com/docs/api-reference/search/guide
"""

from collections.abc import Iterator
from random import Random

from connector.hubspot.batch import Record
from connector.hubspot.failure import HubSpotError
from connector.hubspot.meaning import unclear
from connector.hubspot.official import Official
from connector.hubspot.records import is_id, record_id

_ID = "hs_object_id"
_NEIGHBOURS = 10
"""So many that follow a random id: fewer say more about the portal, and cost more calls."""
_ROUNDS = 3


def draw_ids(official: Official, number: int, dice: Random) -> Iterator[str]:
    """Draw so many different ids of contacts; fewer where three rounds through the portal meet no more of them."""
    ends = [_found(official, beyond=0, limit=1, backwards=backwards) for backwards in (False, True)]
    if not all(ends):
        return
    first, last = (int(record_id(end[0])) for end in ends)
    seen: set[str] = set()
    for _ in range(_ROUNDS):
        parts = -(-(number - len(seen)) // _NEIGHBOURS)
        for part in range(parts):
            begin = first + (last - first) * part // parts
            end = first + (last - first) * (part + 1) // parts
            beyond = dice.randint(begin - 1, max(begin - 1, end - 1))
            for contact in map(record_id, _found(official, beyond=beyond, limit=_NEIGHBOURS)):
                if contact not in seen and len(seen) < number:
                    seen.add(contact)
                    yield contact


def _found(official: Official, *, beyond: int, limit: int, backwards: bool = False) -> list[Record]:
    """Find the contacts that come first beyond an id, or last of all."""
    body = {
        "filterGroups": [{"filters": [{"propertyName": _ID, "operator": "GT", "value": str(beyond)}]}],
        "sorts": [{"propertyName": _ID, "direction": "DESCENDING" if backwards else "ASCENDING"}],
        "properties": [_ID],
        "limit": limit,
    }
    answer = official.call("crm.contacts.search_api.do_search", body)
    results = answer.body.get("results") if isinstance(answer.body, dict) else None
    if not isinstance(results, list):
        raise HubSpotError(meaning=unclear("the answer holds no results", status=answer.status))
    return [each for each in results if isinstance(each, dict) and is_id(record_id(each))]
