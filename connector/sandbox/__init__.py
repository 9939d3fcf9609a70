"""The practice HubSpot: a whole portal in memory, over HTTP, with webhooks and with faults on demand.

Admins try their rules on it, the demo runs on it, and the tests rest on it. It is strict where HubSpot is strict and
wrong where HubSpot goes wrong; what nobody knows about HubSpot can be switched in `SandboxOptions`.
"""

from connector.sandbox.options import SandboxOptions
from connector.sandbox.practice import Sandbox, run

__all__ = ["Sandbox", "SandboxOptions", "run"]
