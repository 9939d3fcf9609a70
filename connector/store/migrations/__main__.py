"""Write the next revision when `tables.py` has changed: `python -m connector.store.migrations 0002 "What it does."`."""

import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa
from alembic import command

from connector.store.migrations import script_config, upgrade


def main(revision: str, message: str) -> None:
    """Compare the tables with what the revisions make, and write the difference down for a person to read."""
    with tempfile.TemporaryDirectory() as folder:
        engine = sa.create_engine(f"sqlite:///{Path(folder) / 'empty.db'}")
        upgrade(engine)
        config = script_config()
        config.set_main_option("file_template", "revision_%%(rev)s")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.revision(config, message=message, autogenerate=True, rev_id=revision)


if __name__ == "__main__":
    main(*sys.argv[1:3])
