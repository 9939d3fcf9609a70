"""One call and its answer, as the routes see them: parsed, and free of sockets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from connector.sandbox.kinds import Kind, find_kind
from connector.sandbox.refusals import JsonObject, invalid, not_found

MOST_INPUTS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call; `parts` are what the braces of its route stand for."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    parts: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> JsonObject:
        """Read the body as a JSON object or refuse."""
        body = self.anything()
        if not isinstance(body, dict):
            raise invalid("Invalid input JSON: an object was expected")
        return body

    def anything(self) -> Any:
        """Read the body as JSON of any shape or refuse."""
        try:
            return orjson.loads(self.body or b"{}")
        except orjson.JSONDecodeError as error:
            raise invalid(f"Invalid input JSON: {error}") from error

    def kind(self, part: str = "type") -> Kind:
        """Give the kind of record that the path names, or refuse with 404."""
        kind = find_kind(self.parts[part])
        if kind is None:
            raise not_found(f"Unable to infer object type from: {self.parts[part]}")
        return kind

    def names(self, key: str) -> list[str]:
        """Read a query parameter that lists names."""
        return [name for name in self.query.get(key, "").split(",") if name]

    def number(self, key: str, default: int, most: int) -> int:
        """Read a query parameter that counts, or refuse."""
        text = self.query.get(key, str(default))
        if not text.isdigit() or not 1 <= int(text) <= most:
            raise invalid(f"{key} must be a number from 1 to {most}; it was {text!r}")
        return int(text)

    def cursor(self, given: object = None) -> int:
        """Read where a page begins, from the query or from what is given, or refuse."""
        text = str(self.query.get("after", "0") if given is None else given)
        if not text.isdigit():
            raise invalid(f"after must be a cursor from paging.next; it was {text!r}")
        return int(text)

    def inputs(self, most: int = MOST_INPUTS) -> list[JsonObject]:
        """Read the inputs of a batch or refuse."""
        inputs = self.json().get("inputs")
        if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
            raise invalid("Invalid input JSON: inputs must be a list of objects")
        if len(inputs) > most:
            raise invalid(f"The number of inputs ({len(inputs)}) is over the limit of {most} per batch")
        return inputs


class Answer(NamedTuple):
    """What is answered: a status and what becomes JSON; None is an empty body, bytes stay as they are."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})


def properties_of(given: Mapping[str, Any]) -> JsonObject:
    """Read the properties of one input or refuse."""
    properties = given.get("properties")
    if not isinstance(properties, dict):
        raise invalid("Invalid input JSON: properties must be an object")
    return properties


def names_of(body: Mapping[str, Any], key: str) -> list[str]:
    """Read a list of names from a body or refuse."""
    names = body.get(key) or []
    if not isinstance(names, list):
        raise invalid(f"Invalid input JSON: {key} must be a list")
    return [str(name) for name in names]


def associations_of(given: Mapping[str, Any]) -> list[JsonObject]:
    """Read the associations of one input or refuse."""
    associations = given.get("associations") or []
    if not isinstance(associations, list) or not all(_is_association(one) for one in associations):
        raise invalid("Invalid input JSON: associations need to.id and types with an associationTypeId each")
    return associations


def _is_association(given: object) -> bool:
    if not isinstance(given, dict):
        return False
    target, types = given.get("to"), given.get("types")
    if not isinstance(target, dict) or "id" not in target or not isinstance(types, list):
        return False
    return all(isinstance(one, dict) and "associationTypeId" in one for one in types)
