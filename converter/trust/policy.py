"""skopeo's policy.json: what has to be signed, and by whom (containers-policy.json(5)).

It is parsed as strictly as by its own tools: an unknown or duplicate member makes the whole file invalid. Only the
requirements of the most specific scope count, and all of them have to be met. What the manual page lists and its own
tools never accept (``signedBaseLayer``, other key types) is parsed and not met.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any

from converter.errors import Invalid, within
from converter.model.descriptor import HEX_LENGTHS
from converter.model.document import (
    decode_base64,
    expect_type,
    load_object,
    optional_member,
    require_only,
    required_member,
)
from converter.model.frozen import frozen
from converter.model.reference import COMPONENT, ImageName, with_namespaces
from converter.trust.identity import (
    EXACT_REFERENCE,
    EXACT_REPOSITORY,
    MATCH_DIGEST_OR_EXACT,
    MATCH_EXACT,
    MATCH_REPOSITORY,
    REMAP,
    IdentityRule,
)

PATHS = ("dir", "oci", "oci-archive")
"""The transports whose scopes are paths."""

ACCEPT, REJECT = "insecureAcceptAnything", "reject"
SIGNED_BY, SIGSTORE, BASE_LAYER = "signedBy", "sigstoreSigned", "signedBaseLayer"

Read = Callable[[str], bytes]
"""Returns the content of a file that a policy names."""

_GPG = "GPGKeys"
_KEY_TYPES = (_GPG, "signedByGPGKeys", "X509Certificates", "signedByX509CAs")
_KEYS = ("keyPath", "keyPaths", "keyData", "keyDatas")
_LOGS = ("rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")
_CA = ("caPath", "caData")
_ROOTS, _BETWEEN = ("caRootsPath", "caRootsData"), ("caIntermediatesPath", "caIntermediatesData")
_RULE_MEMBERS: Mapping[str, tuple[str, ...]] = {
    MATCH_EXACT: (),
    MATCH_DIGEST_OR_EXACT: (),
    MATCH_REPOSITORY: (),
    EXACT_REFERENCE: ("dockerReference",),
    EXACT_REPOSITORY: ("dockerRepository",),
    REMAP: ("prefix", "signedPrefix"),
}
_PREFIX = re.compile(rf"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?(?:/{COMPONENT})*")


@frozen
class Policy:
    """The whole file. ``transports`` holds unparsed lists of requirements by transport and scope."""

    default: list[Any]
    transports: dict[str, dict[str, list[Any]]]

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """Parse a policy; raises Invalid for anything that does not follow the manual page, in any scope."""
        document = load_object(data)
        require_only(document, ("default", "transports"), "the policy")
        if "default" not in document:
            raise Invalid('"default" is missing in the policy')
        with within("default"):
            list(parse_requirements(document["default"], lambda _: b""))
        transports = optional_member(document, "transports", dict) or {}
        for name, scopes in transports.items():
            with within(name):
                for scope, rows in expect_type(scopes, dict).items():
                    _check_scope(name, scope)
                    with within(scope or "all"):
                        list(parse_requirements(rows, lambda _: b""))
        return cls(default=document["default"], transports=transports)

    def scope(self, transport: str, scopes: Iterator[str]) -> str | None:
        """The first of ``scopes``, most specific first, that has requirements; None if only the default applies."""
        own = self.transports.get(transport, {})
        return next((scope for scope in (*scopes, "") if scope in own), None)

    def requirements(self, transport: str, scopes: Iterator[str], read: Read) -> tuple[Requirement, ...]:
        """Those of the scope that applies, else the default. Reads the files that they name."""
        scope = self.scope(transport, scopes)
        rows = self.default if scope is None else self.transports[transport][scope]
        return tuple(parse_requirements(rows, read))


def scopes_of(name: ImageName) -> Iterator[str]:
    """The scopes of an image in a registry, most specific first: name, repository, namespaces, host, domains."""
    yield str(name)
    yield from with_namespaces(name.name)
    domain = name.host.partition(":")[0]
    while "." in domain:
        domain = domain.partition(".")[2]
        yield f"*.{domain}"


def path_scopes(path: str, tag: str) -> Iterator[str]:
    """The scopes of an image at a path, most specific first; the root folder is not one."""
    if tag:
        yield f"{path}:{tag}"
    while path and path != "/":
        yield path
        path = path.rpartition("/")[0]


def _check_scope(transport: str, scope: str) -> None:
    """Raises Invalid for a scope that no image of the transport can have."""
    if not scope:
        return
    if transport == "docker-archive":
        raise Invalid(f'invalid scope "{scope}": docker-archive has only the empty one')
    # POSIX gives two leading slashes a meaning of their own; policies do not.
    clean = "/" + posixpath.normpath(scope).lstrip("/")
    if transport in PATHS and (scope == "/" or scope != clean):
        raise Invalid(f'invalid scope "{scope}": expected an absolute path without "." and "..", and not "/"')
    if transport == "docker-daemon" and scope.partition(":")[0] in HEX_LENGTHS:
        raise Invalid(f'invalid scope "{scope}": expected a name or a part of one')


@frozen
class Authority:
    """The CA that certifies a signer, as PEM, and the identity that the signer must have: all that is not empty.

    ``issuer`` is the identity provider that authenticated the signer to Fulcio; empty if the CA is not Fulcio.
    """

    roots: bytes
    intermediates: bytes = b""
    email: str = ""
    hostname: str = ""
    issuer: str = ""


@frozen
class Requirement:
    """One requirement: one of the ``keys`` has to have signed, or somebody whom the ``authority`` certifies.

    With ``logs``, which are keys of Rekor, one of those logs has to have logged the signature. ``unmet`` says why
    nothing can meet it.
    """

    kind: str
    keys: tuple[bytes, ...] = ()
    authority: Authority | None = None
    logs: tuple[bytes, ...] = ()
    rule: IdentityRule = field(default_factory=lambda: IdentityRule(kind=MATCH_DIGEST_OR_EXACT))
    unmet: str = ""


def parse_requirements(rows: Any, read: Read) -> Iterator[Requirement]:
    """The requirements of a list; raises Invalid for one that does not follow the manual page."""
    if not isinstance(rows, list) or not rows:
        raise Invalid("requirements: expected an array with at least one")
    for place, row in enumerate(rows):
        with within(f"requirement[{place}]"):
            yield _requirement(expect_type(row, dict), read)


def _requirement(row: dict[str, Any], read: Read) -> Requirement:
    kind = required_member(row, "type", str)
    if kind in (ACCEPT, REJECT):
        require_only(row, ("type",), f"a requirement {kind}")
        return Requirement(kind=kind)
    if kind == SIGNED_BY:
        return _signed_by(row, read)
    if kind == SIGSTORE:
        return _sigstore(row, read)
    if kind == BASE_LAYER:
        require_only(row, ("type", "baseLayerIdentity"), kind)
        return Requirement(kind=kind, rule=rule_of(row, "baseLayerIdentity"), unmet="nothing tells base layers")
    raise Invalid(f'unknown type of requirement "{kind[:80]}" (containers-policy.json(5))')


def _signed_by(row: dict[str, Any], read: Read) -> Requirement:
    names = _KEYS[:3]
    require_only(row, ("type", "keyType", *names, "signedIdentity"), SIGNED_BY)
    key_type = required_member(row, "keyType", str)
    if key_type not in _KEY_TYPES:
        raise Invalid(f'unknown keyType "{key_type[:40]}" (one of: {", ".join(_KEY_TYPES)})')
    unmet = "" if key_type == _GPG else f"keys of the type {key_type} are not supported"
    return Requirement(kind=SIGNED_BY, keys=_files(row, names, read), rule=_identity_rule(row), unmet=unmet)


def _sigstore(row: dict[str, Any], read: Read) -> Requirement:
    require_only(row, ("type", *_KEYS, "fulcio", "pki", *_LOGS, "signedIdentity"), SIGSTORE)
    makers = [any(name in row for name in _KEYS), "fulcio" in row, "pki" in row]
    if sum(makers) != 1:
        raise Invalid(f"{SIGSTORE} needs exactly one of keys, fulcio and pki: {sum(makers)} are given")
    logs = _files(row, _LOGS, read, optional=True)
    authority = None
    if "fulcio" in row:
        if not logs:
            raise Invalid("fulcio needs a key of Rekor, too: its certificates are valid for minutes")
        authority = _fulcio(required_member(row, "fulcio", dict), read)
    elif "pki" in row:
        if logs:
            raise Invalid("pki cannot be used with a key of Rekor")
        authority = _pki(required_member(row, "pki", dict), read)
    keys = () if authority else _files(row, _KEYS, read)
    return Requirement(kind=SIGSTORE, keys=keys, authority=authority, logs=logs, rule=_identity_rule(row))


def _fulcio(value: dict[str, Any], read: Read) -> Authority:
    require_only(value, (*_CA, "oidcIssuer", "subjectEmail"), "fulcio")
    return Authority(
        roots=_files(value, _CA, read)[0],
        issuer=_text_of(value, "oidcIssuer"),
        email=_text_of(value, "subjectEmail"),
    )


def _pki(value: dict[str, Any], read: Read) -> Authority:
    require_only(value, (*_ROOTS, *_BETWEEN, "subjectEmail", "subjectHostname"), "pki")
    email, hostname = (_text_of(value, name) if name in value else "" for name in ("subjectEmail", "subjectHostname"))
    if not (email or hostname):
        raise Invalid("pki needs subjectEmail or subjectHostname, to say who may sign")
    between = _files(value, _BETWEEN, read, optional=True)
    return Authority(
        roots=_files(value, _ROOTS, read)[0],
        intermediates=between[0] if between else b"",
        email=email,
        hostname=hostname,
    )


def _identity_rule(row: dict[str, Any]) -> IdentityRule:
    return rule_of(row) if "signedIdentity" in row else IdentityRule(kind=MATCH_DIGEST_OR_EXACT)


def _text_of(value: dict[str, Any], name: str) -> str:
    text = required_member(value, name, str)
    if not text:
        raise Invalid(f"{name} is empty")
    return text


def _files(row: dict[str, Any], names: tuple[str, ...], read: Read, *, optional: bool = False) -> tuple[bytes, ...]:
    """What is in the files of the one member present; raises Invalid for several, or for none unless ``optional``."""
    there = [name for name in names if name in row]
    if optional and not there:
        return ()
    if len(there) != 1:
        raise Invalid(f"exactly one of {', '.join(names)} is required: {len(there)} are given")
    name = there[0]
    texts = required_member(row, name, list) if name.endswith("s") else [required_member(row, name, str)]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise Invalid(f"{name} is empty: expected keys")
    if "Data" in name:
        return tuple(decode_base64(text, name) for text in texts)
    if not all(texts) or any("\0" in text for text in texts):
        raise Invalid(f"{name}: expected the path of a file")
    return tuple(map(read, texts))


def rule_of(row: dict[str, Any], name: str = "signedIdentity") -> IdentityRule:
    """The rule for names in a requirement; raises Invalid."""
    value = required_member(row, name, dict)
    kind = required_member(value, "type", str)
    if kind not in _RULE_MEMBERS:
        raise Invalid(f'unknown type of identity "{kind[:80]}" (containers-policy.json(5))')
    require_only(value, ("type", *_RULE_MEMBERS[kind]), kind)
    if kind == EXACT_REFERENCE:
        exact = ImageName.parse_signed(required_member(value, "dockerReference", str))
        if not (exact.tag or exact.digest):
            raise Invalid(f'dockerReference "{exact}" has neither a tag nor a digest')
        return IdentityRule(kind=kind, reference=str(exact))
    if kind == EXACT_REPOSITORY:
        repository = ImageName.parse_signed(required_member(value, "dockerRepository", str))
        return IdentityRule(kind=kind, reference=repository.name)
    if kind == REMAP:
        return IdentityRule(kind=kind, prefix=_prefix(value, "prefix"), signed_prefix=_prefix(value, "signedPrefix"))
    return IdentityRule(kind=kind)


def _prefix(value: dict[str, Any], name: str) -> str:
    text = required_member(value, name, str)
    if not _PREFIX.fullmatch(text):
        raise Invalid(f'invalid {name} "{text[:200]}": expected HOST[:PORT][/PATH]')
    return text
