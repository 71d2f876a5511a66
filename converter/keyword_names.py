"""Messages for callers from Python: keyword arguments in place of options of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from converter.errors import ConverterError
from converter.events import Event, Failed, Report, Warned, silent

KEYWORDS = {
    "aci-path": "aci_paths",
    "authfile": "authfile",
    "cert-dir": "cert_dir",
    "certificate-chain": "chains",
    "certificate-identity": "certificate_identity",
    "change": "changes",
    "compress": "compress",
    "content-trust": "content_trust",
    "creds": "credentials",
    "gpg-key": "makers",
    "htpasswd": "htpasswd",
    "identity": "identity",
    "key": "keys",
    "keyring": "keyrings",
    "lookaside": "lookaside",
    "platform": "platforms",
    "policy": "policy",
    "rekor-key": "rekor_keys",
    "rename": "rename",
    "require": "require",
    "sign-by": "signing",
    "sign-identity": "identity",
    "timeout": "timeout",
    "tls-cert": "certificate",
    "tls-key": "key",
    "to": "to",
    "trust-store": "trust_stores",
}
"""An option that takes a value → the keyword, of the function, Options, StoreOptions or Wanted."""

SWITCHES = {
    "all-images": "all_images",
    "allow-weak-digest": "allow_weak_digest",
    "devices": "devices",
    "download-foreign": "download_foreign",
    "insecure": "insecure",
    "layered": "layered",
    "map-identity": "map_identity",
    "overwrite": "overwrite",
    "preserve-digests": "preserve_digests",
    "squash": "squash",
    "strict": "strict",
    "tls-verify": "tls_verify",
}
"""The same for options without a value, which are true, or false where that is said."""

_VALUES = "aci|all|attestation|attached|docker|false|gzip|none|oci|origin|signature|'[^']*'"
_OPTION = re.compile(rf"(?<![\w`-])--([a-z][a-z-]*)(?:[= ]({_VALUES})(?![\w-]))?")


def in_python(text: str) -> str:
    """A message with keywords in place of options: ``--to oci`` becomes ``to="oci"``."""
    return _OPTION.sub(_keyword, text)


def _keyword(found: re.Match[str]) -> str:
    option, value = found.groups()
    if option in SWITCHES:
        rest = found[0][len(option) + 2 :]
        return f"{SWITCHES[option]}={'False' if value == 'false' else f'True{rest}'}"
    if option not in KEYWORDS:
        return found[0]
    text = "" if value is None else '"' + value.strip("'") + '"'
    return f"{KEYWORDS[option]}={text}"


def reporting_keywords(report: Report | None) -> Report:
    """The report that a caller gave, or none, with keywords in place of options in its events."""
    if report is None:
        return silent

    def report_keywords(event: Event) -> None:
        if isinstance(event, Warned | Failed):
            event = replace(event, fact=in_python(event.fact))
        report(event)

    return report_keywords


@contextmanager
def naming_keywords() -> Iterator[None]:
    """Raise errors with keywords in place of options."""
    try:
        yield
    except ConverterError as error:
        error.fact = in_python(error.fact)
        raise
