"""From a document to a typed value by a pydantic model, with pydantic's complaints turned into problems."""

import re
import types
from dataclasses import replace
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from connector.problems import Problem, nearest
from connector.rulebook.reading import Document, Path_

Model = TypeVar("Model", bound=BaseModel)


class Shape(BaseModel):
    """A mapping of a file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=False)


def shape(model: type[Model], document: Document) -> tuple[Model | None, list[Problem]]:
    """Read a document as this model; no value when anything in it is wrong."""
    try:
        return model.model_validate(document.data), []
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, _joined([_problem(model, document, detail) for detail in details])


def _joined(problems: list[Problem]) -> list[Problem]:
    """Join what pydantic says of every member of a union about one and the same value."""
    joined: dict[tuple[object, ...], Problem] = {}
    for problem in problems:
        key = (problem.place, problem.code, problem.found) if problem.expected else (problem,)
        earlier = joined.get(key)
        expected = problem.expected if earlier is None else f"{earlier.expected} or {_wanted(problem.expected)}"
        joined[key] = replace(problem, expected=expected)
    return list(joined.values())


def _wanted(expected: str) -> str:
    return expected.removeprefix("expected ")


def _problem(model: type[BaseModel], document: Document, detail: ErrorDetails) -> Problem:
    path = path_in(document.data, detail["loc"])
    kind = detail["type"]
    if kind == "missing":
        key = str(detail["loc"][-1])
        place = document.value_place(path)
        return Problem(place=place, code="missing-key", found=f"{key!r} is missing", cure=f"add `{key}: …`")
    if kind == "extra_forbidden":
        key = str(detail["loc"][-1])
        known = _keys_at(model, detail["loc"][:-1])
        found = f"{key!r} is not a key here"
        return Problem(place=document.place(path), code="unknown-key", found=found, cure=nearest(key, known))
    code = "wrong-type" if kind.endswith(("_type", "_parsing")) else "wrong-value"
    if "_" not in kind:
        code = kind  # a code of our own, from a PydanticCustomError
    expected = _in_our_words(detail["msg"])
    at = document.place if detail["loc"][-1:] == ("[key]",) else document.value_place
    return Problem(place=at(path), code=code, found=_shown(detail["input"]), expected=expected)


def _in_our_words(message: str) -> str:
    if "[A-Za-z0-9_.-]{0,99}" in message:
        return "expected a name of letters, digits, `_`, `.` and `-`"
    message = re.sub("^(Input|String|List|Dictionary|Value) should (be )?", "expected ", message)
    message = re.sub("^Input is not a path for .*$", "expected a path", message.replace("Value error, ", ""))
    message = re.sub(r"a valid dictionary( or instance of \w+)?", "a mapping", message)
    message = message.replace("expected have", "expected to have")
    message = message.replace("a valid string", "a text").replace("a valid integer", "a whole number")
    return message.replace("a valid ", "a ")


def _shown(value: Any) -> str:
    """Quote what was found, without spilling a whole mapping."""
    match value:
        case dict():
            return "found a mapping"
        case list():
            return "found a list"
        case None:
            return "found nothing"
    text = repr(value)
    return f"found {text if len(text) <= 60 else text[:57] + '…'}"


def path_in(data: Any, location: tuple[int | str, ...]) -> Path_:
    """Keep the parts of pydantic's location that are steps in the data; it adds names of its own for unions."""
    path: list[str | int] = []
    for step in location:
        in_mapping = isinstance(data, dict) and step in data
        if in_mapping or (isinstance(data, list) and isinstance(step, int) and step < len(data)):
            data = data[step]
            path.append(step)
    return tuple(path)


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """List the keys that the model takes at a place, to suggest the nearest."""
    current: Any = model
    for step in location:
        found = _model_in(current)
        if found is not None and isinstance(step, str) and step in _fields(found):
            current = _fields(found)[step]
        elif isinstance(step, str | int):
            current = _inside(current)
    found = _model_in(current)
    return list(_fields(found)) if found is not None else []


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _inside(annotation: Any) -> Any:
    """Give the type of the members of a list, a tuple or a mapping; of anything else, itself."""
    if get_origin(annotation) in (list, tuple, dict):
        members = [part for part in get_args(annotation) if part is not Ellipsis]
        return members[-1] if members else annotation
    if get_origin(annotation) in (Union, types.UnionType):
        return next((_inside(part) for part in get_args(annotation) if _inside(part) is not part), annotation)
    return annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        if (found := _model_in(part)) is not None and get_origin(annotation) in (Union, types.UnionType):
            return found
    return None
