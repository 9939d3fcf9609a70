"""Every event that is logged stands in deploy/LOGS.md and the other way round; units stand in the names of fields."""

import fnmatch
import re

from tests.logged import documented, logged, queries

_OF_A_UNIT = re.compile(r"(^|_)(wait|waited|lasted|duration|delay|age|due_in|expires_in|ahead|size|memory|took)(_|$)")
_UNIT = re.compile(r"_(ms|s|seconds|bytes)$")


def test_every_logger_is_given_a_fixed_dotted_name() -> None:
    assert [line.place for line in logged() if not line.names] == []


def test_what_is_logged_is_what_is_documented() -> None:
    used = {name for line in logged() for name in line.names}
    listed = documented()
    assert len(listed) == len(set(listed))
    patterns = {name for name in used if "*" in name}
    assert {name for name in used - patterns if name not in listed} == set()
    assert {name for name in listed if not any(fnmatch.fnmatch(name, one) for one in used)} == set()


def test_fields_that_have_a_unit_say_it() -> None:
    bare = {
        f"{line.place} {field}" for line in logged() for field in line.fields
        if _OF_A_UNIT.search(field) and not _UNIT.search(field)
    }  # fmt: skip
    assert bare == set()


def test_the_queries_ask_for_events_that_there_are() -> None:
    asked = set(re.findall(r'\.event == "([a-z_.]+)"', "\n".join(queries())))
    assert asked
    assert asked <= set(documented())
