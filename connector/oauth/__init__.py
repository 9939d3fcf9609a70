"""OAuth apps: what portals have granted them, kept encrypted, refreshed by one process at a time."""
