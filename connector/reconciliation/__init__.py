"""Reconciliation: what changed in HubSpot and no webhook told of is found and looked at."""
