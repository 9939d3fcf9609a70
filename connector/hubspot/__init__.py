"""HubSpot, the vendor: everything that knows its paths, its limits and its answers stands here."""
