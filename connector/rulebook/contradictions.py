"""What a pack asks of a property, or writes to it, that the property can never hold.

A condition is put to values of the property's own kind: one that can read none of them is an error, an option that the
property does not have is a warning, for a portal may have been given more options.
"""

import ast
from collections.abc import Iterator, Mapping

from connector.problems import Problem, nearest
from connector.properties import CONTACT_PROPERTIES, HUBSPOT_FORMS, Form
from connector.rulebook.conditions import Condition, PropertyTest, tested_properties
from connector.rulebook.courses import ALWAYS, UNKNOWN, Course
from connector.rulebook.operands import OperandError, folded
from connector.rulebook.operators import Test, make_test

Options = tuple[str, ...]
Forms = Mapping[tuple[str, str], tuple[Form, Options]]
"""What properties hold, by object and name: the form, and the options where there are any."""
LEAVE_IT = "when your portal has that option, leave it"

KNOWN_FORMS: Forms = {
    **{("contact", one.name): (one.form, tuple(value for value, _ in one.options)) for one in CONTACT_PROPERTIES},
    **{(object_, name): (form, ()) for object_, forms in HUBSPOT_FORMS.items() for name, form in forms.items()},
}
"""What is known without asking a portal."""
_SAMPLES: Mapping[Form, Options] = {
    "number": ("0", "7", "0.5"), "date": ("2026-03-02",), "moment": ("2026-03-02T09:00:00Z",),
}  # fmt: skip
_KINDS: Mapping[Form, tuple[str, str]] = {
    "number": ("a number", "at_least, at_most, more_than, less_than or between, with numbers"),
    "date": ("a date", "before, after, within_last, within_next or between, with dates"),
    "moment": ("a moment", "before, after, within_last, within_next or between, with dates"),
    "one of": ("one of its options", "is, is_not, in or not_in"),
    "several": ("any of its options", "contains or contains_any"),
}


def contradictions(condition: Condition, forms: Forms = KNOWN_FORMS, cure: str = LEAVE_IT) -> Iterator[Problem]:
    """Find the tests in a condition that no value of their property can ever meet; `cure` is for unknown options."""
    for test in tested_properties(condition):
        form, options = forms.get((test.object, test.property), (None, ()))
        samples = options or _SAMPLES.get(form, ()) if form else ()
        if form is None or not samples or test.test.operator == "known":
            continue
        if all(course == ALWAYS[UNKNOWN] for course in _courses(test.test, samples)):
            yield _wrong_type(test, form)
        elif options:
            yield from (_no_option(test, item, options, cure) for item in _strangers(test.test, options))


def option_problem(name: str, value: str, forms: Forms = KNOWN_FORMS) -> str | None:
    """Say which option was probably meant when this one is none of a contact property's; None when it is, or free."""
    _, options = forms.get(("contact", name), (None, ()))
    parts = value.lstrip(";").split(";")
    unknown = [part for part in parts if part and part not in options] if options else []
    return nearest(unknown[0], options) if unknown else None


def _courses(test: Test, values: Options) -> list[Course]:
    return [test.judge(value) for value in values]


def _strangers(test: Test, options: Options) -> Iterator[object]:
    """Give the operands that make no difference between the options, whichever of them a contact has."""
    operand = ast.literal_eval(test.operand)
    for item in operand if isinstance(operand, list) else [operand]:
        if isinstance(item, str) and ";" in item:
            parts = {folded(part) for part in item.split(";") if part.strip()}
            alike = not parts <= {folded(option) for option in options}
        else:
            alike = len(options) > 1 and len({*_courses(_alone(test, item), options)}) == 1
            alike = alike or (len(options) == 1 and isinstance(item, str) and folded(item) != folded(options[0]))
        if alike:
            yield item


def _alone(test: Test, item: object) -> Test:
    """Make the same test with one of its operands alone."""
    try:
        return make_test(test.operator, [item], {})
    except OperandError:
        return make_test(test.operator, item, {})


def _wrong_type(test: PropertyTest, form: Form) -> Problem:
    holds, operators = _KINDS[form]
    found = f"{test.property!r} holds {holds}, so that {test.test.wanted!r} is never yes or no"
    cure = f"use {operators}, or another property"
    return Problem(place=test.place, code="property-type", found=found, cure=cure)


def _no_option(test: PropertyTest, item: object, options: Options, cure: str) -> Problem:
    found = f"{test.property!r} has no option {item!r}"
    meant, place = nearest(item, options), test.place
    return Problem(place=place, code="unknown-option", found=found, expected=meant, cure=cure, severity="warning")
