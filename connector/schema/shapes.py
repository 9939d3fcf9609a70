"""From the shapes of files, which pydantic reads, to JSON Schema: keys, what must be there, what is counted off.

What a shape cannot say (conditions, durations, moments) is put in its place by name. Every key has its description, and
only those: a key that is added to a shape is missed here by a test, not by a user.
"""

from collections.abc import Mapping
from typing import Any

from connector.rulebook.shape import Shape
from connector.schema.offers import Schema
from connector.schema.patterns import YES_OR_NO

DRAFT = "http://json-schema.org/draft-07/schema#"
_DROPPED = ("title", "default", "format", "writeOnly", "ge", "description")

BOOLEAN: Schema = {
    "anyOf": [{"type": "boolean"}, {"type": "string", "pattern": f"^(?:{YES_OR_NO})$"}, {"enum": [0, 1]}],
}
"""`true` and `false`, and the other spellings that are read as them."""


def ref(name: str) -> Schema:
    """Point at a definition."""
    return {"$ref": f"#/definitions/{name}"}


def text_like(pattern: str, expected: str) -> Schema:
    """Say what form a text has; editors show what is expected in place of the pattern."""
    return {"type": "string", "pattern": pattern, "patternErrorMessage": f"Expected {expected}."}


def described(schema: Schema, said: str) -> Schema:
    """Give a schema a description; draft-07 reads nothing beside `$ref`."""
    return {"description": said, **({"allOf": [schema]} if "$ref" in schema else schema)}


def shapes(model: type[Shape], *, said: Mapping[str, str], instead: Mapping[str, Schema]) -> dict[str, Schema]:
    """Give a shape and those inside it as schemas; `said` is by `Shape` and `Shape.key`, `instead` by `Shape.key`."""
    made = model.model_json_schema(ref_template="#/definitions/{model}")
    found = {**made.pop("$defs", {}), model.__name__: made}
    return {name: _shape(name, one, said, instead) for name, one in sorted(found.items())}


def _shape(name: str, made: Schema, said: Mapping[str, str], instead: Mapping[str, Schema]) -> Schema:
    keys = {key: _key(f"{name}.{key}", one, said, instead) for key, one in made["properties"].items()}
    required = {"required": made["required"]} if made.get("required") else {}
    return {"description": said.get(name, made["description"]), "type": "object", "properties": keys, **required,
            "additionalProperties": False}  # fmt: skip


def _key(path: str, made: Schema, said: Mapping[str, str], instead: Mapping[str, Schema]) -> Schema:
    default = made.get("default")
    schema = described(instead[path] if path in instead else _plain(made), said.get(path, ""))
    if isinstance(default, str | int | float) and "default" not in schema and path not in instead:
        schema["default"] = default
    return schema


def _plain(made: Any) -> Any:
    """Leave out what pydantic adds for itself, and close mappings whose keys have a pattern."""
    if isinstance(made, list):
        return [_plain(one) for one in made]
    if not isinstance(made, dict):
        return made
    if made.get("type") == "boolean":
        return dict(BOOLEAN)
    plain = {key: _plain(one) for key, one in made.items() if key not in _DROPPED}
    if "patternProperties" in plain:
        plain.setdefault("additionalProperties", False)
    return plain


def titled(title: str, top: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Make a whole schema of its top and its definitions."""
    return {"$schema": DRAFT, "title": title, **top, "definitions": dict(sorted(definitions.items()))}
