"""URLs as RFC 3986 defines them, plus what Go's net/url also accepts."""

from __future__ import annotations

import re

_ESCAPED = r"%[0-9A-Fa-f]{2}"
_USER = rf"([A-Za-z0-9._~!$&'()*+,;=:@-]|{_ESCAPED})*"
# In a host, only non-ASCII bytes are escaped, and the % before a zone.
_LETTER = r"([A-Za-z0-9._~!$&'()*+,;=<>\"\[\]-]|[^\x00-\x7f]|%25|%[89A-Fa-f][0-9A-Fa-f])"
_HOST = rf"((?!\[)({_LETTER}*|({_LETTER}|:)*:[0-9]*)|\[({_LETTER}|:)*\](:[0-9]*)?)"
_AUTHORITY = re.compile(rf"({_USER}@)?{_HOST}")
_NAME = rf"(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_ESCAPED})"
_MARK = f"(?:{_NAME}|[:@])"
_HOST_AND_PORT = rf"(?:(?:{_NAME}|:)*+@)?(?:{_NAME}*+|\[(?:{_NAME}|:)++\])(?::[0-9]*)?"
_URI = re.compile(
    rf"[A-Za-z][A-Za-z0-9+.-]*:(?://{_HOST_AND_PORT}(?:/(?:{_MARK}|/)*+)?|(?!//)(?:{_MARK}|/)*+)"
    rf"(?:\?(?:{_MARK}|[/?])*+)?(?:#(?:{_MARK}|[/?])*+)?"
)
_ESCAPES = re.compile(rf"([^%]|{_ESCAPED})*")


def is_web_url(text: str) -> bool:
    """Whether a text is an http or https URL; its query is not checked, and its host may be missing."""
    return re.match("(?i:https?):", text) is not None and is_url(text)


def is_url(text: str) -> bool:
    """Whether Go accepts a text as a URL of any scheme."""
    match = re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:([^\x00-\x1f\x7f#]*)(?:#(.*))?", text, re.DOTALL)
    if match is None:
        return False
    rest, fragment = match[1], match[2] or ""
    path, _, _ = rest.partition("?")
    if path.startswith("//") and not path.startswith("///"):
        authority, _, path = path[2:].partition("/")
        if _AUTHORITY.fullmatch(authority) is None:
            return False
    elif not path.startswith("/"):
        # An opaque part instead of a path, which is accepted as it is.
        path = ""
    return bool(_ESCAPES.fullmatch(path) and _ESCAPES.fullmatch(fragment))


def is_uri(text: str) -> bool:
    """Whether a text is written as a URI of RFC 3986 (appendix A); what stands in brackets may be any address."""
    return _URI.fullmatch(text) is not None
