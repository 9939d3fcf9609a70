"""References in the configuration: `${NAME}`, `${NAME:-default}` and `${file:/path}`, put in before all else."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from connector.problems import Place, Problem
from connector.rulebook.reading import Document, walk

_REFERENCE = re.compile(r"\$\{(?:file:([^}]+)|([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?)\}")


def put_in_references(
    document: Document, environment: Mapping[str, str], folder: Path, problems: list[Problem]
) -> frozenset[Place]:
    """Put references' values in their places; gives the places whose values must not be shown."""
    texts = {path: value for path, value in walk(document.data) if path and isinstance(value, str)}
    referring = {path: text for path, text in texts.items() if "${" in text}
    for path, text in referring.items():
        place = document.value_place(path)
        if "${" in _REFERENCE.sub("", text) or any("${" in (each[3] or "") for each in _REFERENCE.finditer(text)):
            cure = "write ${NAME}, ${NAME:-default} or ${file:/path}, not one within another"
            problems.append(Problem(place=place, code="wrong-reference", found="`${` begins no reference", cure=cure))
        pieces, end = [], 0
        for match in _REFERENCE.finditer(text):
            found, fault = _looked_up(match, environment, folder)
            pieces += [text[end : match.start()], found]
            end = match.end()
            if fault:
                cure = "set it, or write a default as ${NAME:-value}"
                problems.append(Problem(place=place, code="missing-variable", found=fault, cure=cure))
        _put(document.data, path, "".join([*pieces, text[end:]]))
    return frozenset(document.value_place(path) for path in referring)


def secret_places(document: Document, names: Collection[str]) -> frozenset[Place]:
    """Give the places of values that are secrets by their key, or members of a list that is."""
    hidden = {path for path, _ in walk(document.data) if not set(names).isdisjoint(path[-2:])}
    return frozenset(document.value_place(path) for path in hidden)


def _looked_up(match: re.Match[str], environment: Mapping[str, str], folder: Path) -> tuple[str, str]:
    """Give a reference's value, or what is wrong with it."""
    file, name, default = match.groups()
    if file is not None:
        try:
            return (folder / file).read_text(encoding="utf-8").strip(), ""
        except (OSError, ValueError) as error:
            return "", f"the file {file!r} cannot be read ({type(error).__name__})"
    value = environment.get(name) or default
    return (value, "") if value is not None else ("", f"the environment variable {name!r} is not set")


def _put(data: Any, path: tuple[str | int, ...], value: str) -> None:
    for step in path[:-1]:
        data = data[step]
    data[path[-1]] = value
