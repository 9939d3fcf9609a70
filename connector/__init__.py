"""Stagekeeper: every contact of a HubSpot portal in the right lifecycle stage, by rules, with the reason."""

__version__ = "0.1.0"
