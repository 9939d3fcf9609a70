"""Signatures on outgoing webhooks, v1 and v3, over the URL that was configured and not the one connected to.

https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
"""

import base64
import hashlib
import hmac

# v3 decodes these twelve sequences of the URL before signing, and no others.
_DECODED = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$",
    "%27": "'", "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip


def sign_v1(secret: str, body: bytes) -> str:
    """Sign as the oldest version does: SHA-256 over secret and body, in hex."""
    return hashlib.sha256(secret.encode() + body).hexdigest()


def sign_v3(secret: str, method: str, url: str, body: bytes, timestamp: int) -> str:
    """Sign as version 3 does: HMAC-SHA256 over method, URL, body and timestamp, in base64."""
    for coded, plain in _DECODED.items():
        url = url.replace(coded, plain)
    source = b"".join((method.encode(), url.encode(), body, str(timestamp).encode()))
    return base64.b64encode(hmac.digest(secret.encode(), source, "sha256")).decode()


def signed_headers(secret: str, url: str, body: bytes, timestamp: int) -> dict[str, str]:
    """Make the headers of a webhook; it carries both versions."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "stagekeeper-sandbox",
        "X-HubSpot-Signature": sign_v1(secret, body),
        "X-HubSpot-Signature-Version": "v1",
        "X-HubSpot-Signature-v3": sign_v3(secret, "POST", url, body, timestamp),
        "X-HubSpot-Request-Timestamp": str(timestamp),
    }
