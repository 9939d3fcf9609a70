"""A request of HubSpot as bytes, turned into events that are proven to be HubSpot's; nothing here touches the world.

What cannot be proven is refused as a whole; what is proven but cannot be understood is kept as a malformed event, so
that one bad event never costs its neighbours. https://developers.hubspot.com/docs/api/webhooks
"""

import base64
import binascii
import functools
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import orjson

from connector.errors import StagekeeperError
from connector.moments import MINUTE

WINDOW_MS = 5 * MINUTE
"""How far the time of a request may be off, either way; https://developers.hubspot.com/docs/api/webhooks/validating-requests."""

_SIGNATURE_V1 = "x-hubspot-signature"
_VERSION = "x-hubspot-signature-version"
_SIGNATURE_V3 = "x-hubspot-signature-v3"
_TIMESTAMP = "x-hubspot-request-timestamp"
