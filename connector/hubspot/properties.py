"""Property definitions and groups: what a portal can hold, and how to add to it.

https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

from collections.abc import Mapping, Sequence

from connector.hubspot.batch import Record
from connector.hubspot.failure import HubSpotError
from connector.hubspot.meaning import unclear
from connector.hubspot.official import Official
from connector.hubspot.transport import Answer

_CORE = "crm.properties.core_api"
_GROUPS = "crm.properties.groups_api"


class Properties:
    """The property definitions of one portal."""

    def __init__(self, official: Official) -> None:
        self._official = official

    def definitions(self, object_type: str) -> Mapping[str, Record]:
        """Give all definitions of an object type, by name."""
        return _by_name(self._official.call(f"{_CORE}.get_all", object_type))

    def definition(self, object_type: str, name: str) -> Record | None:
        """Give one definition; None when there is none, or when it is in the recycle bin."""
        try:
            body = self._official.call(f"{_CORE}.get_by_name", object_type, name).body
        except HubSpotError as failure:
            if failure.meaning.kind == "gone":
                return None
            raise
        return body if isinstance(body, dict) else None

    def make(self, object_type: str, definition: Mapping[str, object]) -> bool:
        """Make a property; False when the name is taken."""
        return self._make(f"{_CORE}.create", object_type, definition)

    def set_options(self, object_type: str, name: str, options: Sequence[Mapping[str, object]]) -> None:
        """Replace the options of a property: whatever is not among them is dropped."""
        self._official.call(f"{_CORE}.update", object_type, name, {"options": list(options)})

    def groups(self, object_type: str) -> Mapping[str, Record]:
        """Give all property groups of an object type, by name."""
        return _by_name(self._official.call(f"{_GROUPS}.get_all", object_type))

    def make_group(self, object_type: str, definition: Mapping[str, object]) -> bool:
        """Make a property group; False when the name is taken."""
        return self._make(f"{_GROUPS}.create", object_type, definition)

    def _make(self, method: str, object_type: str, definition: Mapping[str, object]) -> bool:
        try:
            self._official.call(method, object_type, dict(definition))
        except HubSpotError as failure:
            if failure.meaning.kind == "conflict":
                return False
            raise
        return True


def _by_name(answer: Answer) -> Mapping[str, Record]:
    results = answer.body.get("results") if isinstance(answer.body, dict) else None
    if not isinstance(results, list):
        raise HubSpotError(meaning=unclear("the answer holds no results", status=answer.status))
    return {str(each["name"]): each for each in results if isinstance(each, dict) and each.get("name")}
