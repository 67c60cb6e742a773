"""What a model server says, as it may be shown: without the secrets that it was sent, and not at any length."""

from __future__ import annotations

import base64
from urllib.parse import quote

from yarl import URL

MAX_LINE = 300
"""Characters of a server's words in a message."""
MAX_NAME = 200
"""Characters of a name that a server gives: of a model, of a reason to finish."""
_LEAST_QUERY_VALUE = 8
"""A shorter value in a query string is a version or a switch, no key."""
_INSTEAD = "***"


class Redaction:
    """Takes the secrets of one server out of text; a proxy may repeat request headers wherever it likes."""

    def __init__(self, base: URL, key: str) -> None:
        """The secrets are `key`, the credentials of `base`, and what its query string may hold of that kind."""
        secrets = {key, *(value for value in base.query.values() if len(value) >= _LEAST_QUERY_VALUE)}
        if base.user is not None:
            secrets |= {base.password or base.user, _basic(base.user, base.password or "")}
        forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""))}
        self._forms = sorted(forms, key=len, reverse=True)  # a secret within another must not break it up first

    def text(self, said: str) -> str:
        """All of `said`, without secrets."""
        for form in self._forms:
            said = said.replace(form, _INSTEAD)
        return said

    def line(self, said: object, at_most: int = MAX_LINE) -> str:
        """`said` on one line, without secrets, then cut at `at_most` characters; empty if it is no text."""
        return " ".join(self.text(said).split())[:at_most] if isinstance(said, str) else ""


def _basic(user: str, password: str) -> str:
    """Both as they are sent (RFC 7617)."""
    return base64.b64encode(f"{user}:{password}".encode("latin1", "replace")).decode()
