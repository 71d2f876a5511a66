"""skopeo's policy.json: what has to be signed by whom (containers-policy.json(5)).

Read as strictly as its own readers do: a member that is unknown, or stands twice, makes the whole file invalid. Only
the requirements of the most specific scope count, and all of them have to be met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from converter.errors import Invalid, Unsupported, within
from converter.model.document import load_object
from converter.model.reference import ImageName
from converter.trust.identity import Rule
from converter.trust.members import as_object, decoded, member, only
from converter.trust.policy_rules import rule_of

ACCEPT, REJECT = "insecureAcceptAnything", "reject"
SIGNED_BY, SIGSTORE = "signedBy", "sigstoreSigned"

Read = Callable[[str], bytes]
"""Gives the content of a file that a policy names."""

_BESIDE_KEYS = ("fulcio", "pki")
_REKOR = ("rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One thing to be met: ``keys`` are files as bytes, each with its name, one of which has to have signed.

    ``roots`` is the content of a file of certificates, for ``pki``; ``identity`` whom its signer has to be.
    """

    kind: str
    keys: tuple[tuple[str, bytes], ...] = ()
    roots: bytes = b""
    identity: str = ""
    rule: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole file. ``requirements`` are lists as they stand, by transport and scope."""

    default: list[Any]
    transports: dict[str, dict[str, list[Any]]]

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """Read a policy; raises Invalid for anything that is not as the manual page has it, wherever it stands."""
        document = load_object(data)
        only(document, ("default", "transports"), "the policy")
        if "default" not in document:
            raise Invalid("got a policy without a default, want one")
        transports = {}
        for name, scopes in as_object(document.get("transports", {}), "transports").items():
            with within(name):
                transports[name] = as_object(scopes, "a transport")
        policy = cls(default=document["default"], transports=transports)
        for where, rows in policy._lists():
            with within(where):
                list(_requirements(rows, lambda _: b""))
        return policy

    def requirements(self, transport: str, scopes: Iterator[str], read: Read) -> tuple[Requirement, ...]:
        """Those of the first of the scopes that there are any for: most specific first. Reads the files they name."""
        own = self.transports.get(transport, {})
        for scope in (*scopes, ""):
            if scope in own:
                return tuple(_requirements(own[scope], read))
        return tuple(_requirements(self.default, read))

    def _lists(self) -> Iterator[tuple[str, Any]]:
        yield "default", self.default
        for transport, scopes in self.transports.items():
            for scope, rows in scopes.items():
                yield f"{transport} > {scope or 'all'}", rows


def scopes_of(name: ImageName) -> Iterator[str]:
    """The scopes of an image in a registry, most specific first: itself, its repository, namespaces, host, domains."""
    yield str(name)
    path = name.name
    while path:
        yield path
        path = path.rpartition("/")[0]
    domain = name.host.partition(":")[0]
    while "." in domain:
        domain = domain.partition(".")[2]
        yield f"*.{domain}"


def path_scopes(path: str, tag: str = "") -> Iterator[str]:
    """The scopes of an image in a folder, most specific first; the root folder is none."""
    if tag:
        yield f"{path}:{tag}"
    while path and path != "/":
        yield path
        path = path.rpartition("/")[0]


def _requirements(rows: Any, read: Read) -> Iterator[Requirement]:
    if not isinstance(rows, list) or not rows:
        raise Invalid("got no list of requirements, want at least one requirement")
    for place, row in enumerate(rows):
        with within(f"requirement[{place}]"):
            yield _requirement(as_object(row, "a requirement"), read)


def _requirement(row: dict[str, Any], read: Read) -> Requirement:
    kind = member(row, "type", str)
    if kind in (ACCEPT, REJECT):
        only(row, ("type",), f"a requirement {kind}")
        return Requirement(kind=kind)
    if kind == SIGNED_BY:
        only(row, ("type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"), "signedBy")
        if member(row, "keyType", str) != "GPGKeys":
            raise Unsupported(f"got the keyType {row['keyType'][:40]!r}, want GPGKeys")
        return Requirement(kind=kind, keys=_keys(row, ("keyPath", "keyPaths", "keyData"), read), rule=rule_of(row))
    if kind == SIGSTORE:
        return _sigstore(row, read)
    raise Invalid(f"got a requirement of the type {kind[:80]!r}, want one of the manual page's")


def _sigstore(row: dict[str, Any], read: Read) -> Requirement:
    names = ("keyPath", "keyPaths", "keyData", "keyDatas")
    only(row, ("type", *names, *_BESIDE_KEYS, *_REKOR, "signedIdentity"), SIGSTORE)
    if any(name in row for name in ("fulcio", *_REKOR)):
        raise Unsupported("got fulcio or a Rekor key in sigstoreSigned, want keys or pki: there is no log to ask here")
    if "pki" not in row:
        return Requirement(kind=SIGSTORE, keys=_keys(row, names, read), rule=rule_of(row))
    if any(name in row for name in names):
        raise Invalid("got pki and keys in sigstoreSigned, want one of them")
    pki = member(row, "pki", dict)
    only(
        pki,
        ("caRootsPath", "caRootsData", "caIntermediatesPath", "caIntermediatesData", "subjectEmail", "subjectHostname"),
        "pki",
    )
    if "subjectHostname" in pki:
        raise Unsupported("got subjectHostname in pki, want subjectEmail")
    roots = _keys(pki, ("caRootsPath", "caRootsData"), read)[0][1]
    between = ("caIntermediatesPath", "caIntermediatesData")
    others = _keys(pki, between, read)[0][1] if any(name in pki for name in between) else b""
    email = member(pki, "subjectEmail", str)
    return Requirement(kind=SIGSTORE, roots=roots + b"\n" + others, identity=email, rule=rule_of(row))


def _keys(row: dict[str, Any], names: tuple[str, ...], read: Read) -> tuple[tuple[str, bytes], ...]:
    """The keys of the one member that is there; raises Invalid for none of them, or several."""
    there = [name for name in names if name in row]
    if len(there) != 1:
        raise Invalid(f"got {len(there)} of {', '.join(names)}, want exactly one")
    name = there[0]
    several = name.endswith("s")
    texts = member(row, name, list) if several else [member(row, name, str)]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise Invalid(f"got an empty {name}, want keys")
    if "Data" in name:
        return tuple((name, decoded(text, name)) for text in texts)
    return tuple((text, read(text)) for text in texts)
