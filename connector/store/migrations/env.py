"""What Alembic runs: the revisions, inside the transaction of the connection that it is given."""

from alembic import context

from connector.store.tables import metadata


def run() -> None:
    """Run the revisions; SQLite takes them in one transaction like PostgreSQL, so half an upgrade cannot happen."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


run()
