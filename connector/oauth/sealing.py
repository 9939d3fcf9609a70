"""Tokens, encrypted as they lie in the database: by the first key of the configuration, opened by any of them.

Each seal names the portal that it is for, so that rows cannot be exchanged for one another.
https://cryptography.io/en/latest/fernet/
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import orjson

from connector.errors import StagekeeperError


class CipherMissing(StagekeeperError):
    """`oauth` in the configuration needs the library cryptography; install it: pip install "stagekeeper[oauth]"."""

    code: ClassVar[str] = "cipher-missing"
    exit_code: ClassVar[int] = 3


class SealBroken(StagekeeperError):
    """What is kept cannot be decrypted by any of the keys."""

    code: ClassVar[str] = "seal-broken"
    exit_code: ClassVar[int] = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPair:
    """What opens a portal for half an hour, and what brings the next of these."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)


class Sealer:
    """Encrypts and decrypts by the keys of a configuration."""

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            from cryptography.fernet import Fernet  # noqa: PLC0415 - an extra, and takes a moment to import
        except ImportError as error:
            raise CipherMissing from error
        self._ciphers = [Fernet(key) for key in keys]

    def seal(self, portal: int, pair: TokenPair) -> str:
        """Encrypt a portal's tokens."""
        text = orjson.dumps({"portal": portal, "access": pair.access, "refresh": pair.refresh})
        return self._ciphers[0].encrypt(text).decode()

    def open(self, portal: int, sealed: str) -> TokenPair:
        """Decrypt a portal's tokens; raises SealBroken."""
        return self._opened(portal, sealed)[1]

    def resealed(self, portal: int, sealed: str) -> str | None:
        """Put tokens under the first key; None when they are. Raises SealBroken."""
        number, pair = self._opened(portal, sealed)
        return None if number == 0 else self.seal(portal, pair)

    def _opened(self, portal: int, sealed: str) -> tuple[int, TokenPair]:
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - as above

        for number, cipher in enumerate(self._ciphers):
            try:
                held = orjson.loads(cipher.decrypt(sealed.encode()))
            except InvalidToken:
                continue
            if held["portal"] != portal:
                break
            return number, TokenPair(access=held["access"], refresh=held["refresh"])
        raise SealBroken
