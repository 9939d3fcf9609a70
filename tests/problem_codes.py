"""Every code that a problem of a file can have, as the code base says it: read from the source, not kept in a list."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PROVEN = frozenset(
    {"never-wins", "never-applies", "never-yes", "no-rule-catches", "threshold-hole", "values-differ", "rules-overlap",
     "never-repeats", "never-rests"}
)  # fmt: skip
"""Codes of what no look at the shape shows; `test_proving.py` shows them."""
OF_A_PORTAL = frozenset(
    {"unknown-property", "read-only-property", "unknown-pipeline", "unknown-deal-stage", "no-such-owner"}
)
"""Codes of what contradicts a portal; `test_proving_portal.py` shows them."""
_TOP = Path(__file__).parent.parent / "connector"
_MAKERS = ("Problem", "OperandError", "PydanticCustomError", "_fault", "_report", "report", "warn", "_problem")
_CODE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+")
_FAMILIES = {"duplicate-": ("duplicate-stage", "duplicate-id")}
"""Codes that are put together while running."""


def problem_codes() -> frozenset[str]:
    """Give every code that the code base can put on a problem."""
    return frozenset(code for path in sorted(_TOP.rglob("*.py")) for code in _codes_in(path))


def _codes_in(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # On a class, `code` is that of an exception: what goes wrong while running is not a problem of a file.
    on_classes = {part for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for part in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in _MAKERS:
            said = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "code")]
            if _name(node.func) == "Problem":
                said = said[len(node.args) :]
            for value in said:
                yield from _written(value)
        elif isinstance(node, ast.Assign) and node not in on_classes and _name(node.targets[0]) == "code":
            yield from _written(node.value)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _written(value: ast.expr) -> Iterator[str]:
    """Give the codes that an expression can be."""
    match value:
        case ast.Constant(value=str(text)) if _CODE.fullmatch(text):
            yield text
        case ast.IfExp():
            yield from _written(value.body)
            yield from _written(value.orelse)
        case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]) if start in _FAMILIES:
            yield from _FAMILIES[start]
