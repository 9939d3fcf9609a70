"""Texts of tasks and deals: sandboxed Jinja over the contact, its company, its deal and the facts.

Values from the CRM are data, never templates; a text that fails to render falls back to the rule's id, so that a
task is never lost to its title.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import ChainableUndefined, Template, TemplateError, nodes
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

OBJECTS = frozenset({"contact", "company", "deal", "facts", "stage", "status"})
"""What a text may speak of."""
_LONGEST = 4_000


@cache
def _environment(escaping: bool) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(autoescape=escaping, undefined=ChainableUndefined, finalize=_blank_none)


def _blank_none(value: Any) -> Any:
    return "" if value is None else value


@cache
def _template(text: str, escaping: bool) -> Template:
    return _environment(escaping).from_string(text)


def syntax_error(text: str) -> str | None:
    """Say what is wrong with a template; None when nothing is."""
    try:
        tree = _environment(False).parse(text)
        _environment(False).from_string(text)
    except TemplateError as error:
        return error.message or "not a template"
    except (RecursionError, SyntaxError, ValueError):
        return "nested too deeply"
    strange = sorted(find_undeclared_variables(tree) - OBJECTS - _environment(False).globals.keys())
    return f"{strange[0]!r} is none of {', '.join(sorted(OBJECTS))}" if strange else None


def fields(text: str) -> frozenset[tuple[str, str]]:
    """Name the properties that a template uses, as (object, property): `{{ contact.firstname }}`."""
    tree = _environment(False).parse(text)
    dotted = {(node.node.name, node.attr) for node in tree.find_all(nodes.Getattr) if isinstance(node.node, nodes.Name)}
    return frozenset(dotted)


def rendered(text: str, values: Mapping[str, Any], *, fallback: str, html: bool = False) -> str:
    """Render a text on one line (or, as HTML, with its lines kept and every value escaped)."""
    try:
        out = _template(text, html).render(values)
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError):
        return fallback
    out = out.strip() if html else " ".join(out.split())
    return out[:_LONGEST] or fallback
