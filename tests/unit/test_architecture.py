"""The shape of the code: imports point one way, few modules touch the world, nothing grows too large."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import connector

ROOT = Path(connector.__file__).parent
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 50
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager", "handler", "misc"}

FLOOR = frozenset({"moments", "errors", "problems", "properties"})
"""What everything may use and what uses nothing but itself."""
RINGS: Mapping[str, int] = {
    **dict.fromkeys(FLOOR, 0),
    "workdays": 1, "rulebook": 1, "hubspot": 1, "store": 1,
    "config": 2, "references": 2, "decision": 2,
    "services": 5, "reloading": 5,
    "receiver": 6, "worker": 6, "web": 6, "rollout": 6, "diagnosis": 6, "serving": 7, "cli": 8,
}  # fmt: skip
"""How far out a part stands; the spine (everything that is not named here) stands between decision and services."""
SPINE = 3


@cache
def sources() -> Mapping[str, ast.Module]:
    """Parse every module, by its dotted name below the package."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text("utf-8"))
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    """Give the full names of what a module imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def own(tree: ast.AST) -> set[str]:
    """Give the modules of the product that a module imports, below the package."""
    known = set(sources())
    found = set()
    for name in imported(tree):
        if name == "connector" or name.startswith("connector."):
            below = name.removeprefix("connector").removeprefix(".")
            found.add(below if below in known else below.rpartition(".")[0])
    return found


def part(module: str) -> str:
    """Give the part of the product that a module belongs to."""
    return module.partition(".")[0]


def importers(library: str) -> set[str]:
    """Name the modules that import a library."""
    return {
        module for module, tree in sources().items()
        if any(name == library or name.startswith(f"{library}.") for name in imported(tree))
    }  # fmt: skip


def parts_used_by(name: str) -> set[str]:
    """Name the parts that a part imports, other than itself."""
    uses = {part(target) for module, tree in sources().items() if part(module) == name for target in own(tree)}
    return uses - {name}


def test_only_inference_imports_the_rule_engine() -> None:
    assert importers("durable_rules_engine") == {"rulebook.inference"}
    assert importers("durable") == set()


def test_only_the_transport_imports_requests() -> None:
    assert importers("requests") <= {"hubspot.transport", "hubspot.retries"}


def test_only_spans_imports_opentelemetry_and_nothing_imports_spans_but_on_demand() -> None:
    assert importers("opentelemetry") == {"spans"}
    assert {module for module, tree in sources().items() if "spans" in own(tree)} == {"tracing"}


def test_only_what_serves_imports_flask() -> None:
    assert {part(module) for module in importers("flask")} <= {"receiver", "web", "serving"}


def test_only_the_hubspot_folder_imports_hubspots_client() -> None:
    assert {part(module) for module in importers("hubspot")} <= {"hubspot"}


def test_the_floor_rests_on_nothing_but_itself() -> None:
    for name in FLOOR:
        assert parts_used_by(name) <= FLOOR


@pytest.mark.parametrize("name", ["rulebook", "hubspot", "store", "sandbox"])
def test_a_folder_rests_on_the_floor_and_on_itself(name: str) -> None:
    assert parts_used_by(name) <= FLOOR


def test_the_decision_rests_on_the_rulebook_and_the_floor() -> None:
    assert parts_used_by("decision") <= FLOOR | {"rulebook"}


def test_nothing_imports_the_command_but_its_entry() -> None:
    users = {module for module, tree in sources().items() if any(part(target) == "cli" for target in own(tree))}
    assert {part(module) for module in users} <= {"cli", "__main__"}


def test_imports_point_inwards() -> None:
    """From command and processes over services and the spine to rulebook, hubspot and store, and to the floor."""
    outwards = {
        f"{module} → {target}"
        for module, tree in sources().items()
        for target in own(tree)
        if part(target) and RINGS.get(part(target), SPINE) > RINGS.get(part(module), SPINE)
        and part(module) not in ("__main__", "sandbox")
    }  # fmt: skip
    assert outwards == set()


def test_only_the_practice_and_the_command_know_the_sandbox() -> None:
    users = {
        part(module) for module, tree in sources().items() if any(part(target) == "sandbox" for target in own(tree))
    }
    assert users <= {"sandbox", "cli"}


def test_imports_go_in_no_circle() -> None:
    graph = {module: {target for target in own(tree) if target != module} for module, tree in sources().items()}
    done: set[str] = set()
    while ready := {module for module, targets in graph.items() if module not in done and targets <= done | {""}}:
        done |= ready
    assert set(graph) - done == set()


def test_nothing_between_inbox_and_plan_reads_a_clock_or_does_io() -> None:
    pure = [module for module in sources() if module in ("decision", "plan", "workdays", "explanation")]
    pure += [
        module
        for module in sources()
        if part(module) == "rulebook" and module not in ("rulebook.reading", "rulebook.shipped")
    ]
    forbidden = {
        "time",
        "socket",
        "sqlalchemy",
        "requests",
        "flask",
        "subprocess",
        "urllib.request",
        "logging",
        "structlog",
    }
    for module in pure:
        uses = set(imported(sources()[module]))
        assert not {
            name for name in uses if name.partition(".")[0] in forbidden or name == "connector.moments.system_clock"
        }, module
        calls = {ast.unparse(node.func) for node in ast.walk(sources()[module]) if isinstance(node, ast.Call)}
        assert not calls & {"open", "print", "datetime.now", "datetime.today", "date.today", "input"}, module


# --- sizes and names --------------------------------------------------------------------------------------------------


def test_no_file_is_longer_than_anybody_wants_to_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in ROOT.rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE} == {}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Give every function with the module it stands in."""
    for module, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield module, node


def test_no_function_is_longer_than_anybody_wants_to_read() -> None:
    """But for migrations, which list a schema from its first table to its last."""
    lengths = {f"{module}.{node.name}": (node.end_lineno or 0) - node.lineno + 1 for module, node in functions()}
    too_long = {name for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION}
    assert {name for name in too_long if not name.startswith("store.migrations.versions.")} == set()


def test_nine_functions_of_ten_are_short() -> None:
    lengths = sorted((node.end_lineno or 0) - node.lineno + 1 for _, node in functions())
    assert lengths[len(lengths) * 9 // 10] <= 25
    assert lengths[len(lengths) // 2] <= 12


def test_no_module_has_a_name_under_which_unlike_things_pile_up() -> None:
    assert {word for module in sources() for word in module.split(".")} & FORBIDDEN_NAMES == set()


def test_every_module_that_holds_something_says_what_it_promises() -> None:
    silent = {module for module, tree in sources().items() if tree.body and not ast.get_docstring(tree)}
    assert silent == set()


def _public(tree: ast.Module) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            protocol = any("Protocol" in ast.unparse(base) for base in node.bases)
            for inner in node.body if not protocol else []:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name, node


def test_every_public_class_and_function_says_what_it_does() -> None:
    silent = {
        f"{module}.{name}" for module, tree in sources().items() for name,
        node in _public(tree) if not ast.get_docstring(node)
    }  # fmt: skip
    assert silent == set()


def test_nothing_happens_on_import_but_definitions() -> None:
    """No call stands alone at the top of a module, other than to define."""
    alone = {
        f"{module}:{node.lineno}" for module,
        tree in sources().items() if module != "__main__" and not module.endswith("env")
        and not module.endswith("__main__")
        for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    }  # fmt: skip
    assert alone == set()


def test_no_comment_leaves_anything_for_later() -> None:
    """`TODO` itself is a word of HubSpot's, for a kind of task."""
    left = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b|pragma: no cover")
    assert [str(path) for path in ROOT.rglob("*.py") if left.search(path.read_text("utf-8"))] == []
