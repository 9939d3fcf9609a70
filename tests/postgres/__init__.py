"""What holds on PostgreSQL alone; `make test-postgres` runs it, for it needs a server."""
