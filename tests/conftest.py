"""What holds for every test: nothing of it is left in a PostgreSQL server, when there is one."""

from tests.databases import _no_connection_left_behind, _no_database_left_behind, in_a_file, is_postgres

__all__ = ["_no_connection_left_behind", "_no_database_left_behind", "in_a_file"]

collect_ignore = [] if is_postgres() else ["postgres"]
