"""skopeo's policy.json: what has to be signed, and by whom (containers-policy.json(5)).

It is parsed as strictly as by its own tools: an unknown or duplicate member makes the whole file invalid. Only the
requirements of the most specific scope count, and all of them have to be met. What the manual page lists and its own
tools never accept (``signedBaseLayer``, other key types) is parsed and not met.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from converter.errors import Invalid, within
from converter.model.document import decode_base64, dump_json, load_object
from converter.model.frozen import frozen
from converter.model.reference import ImageName, with_namespaces
from converter.schema.compiled import validator_of, violation_text
from converter.schema.kinds import schema_file
from converter.schema.shared_checks import follow_pointer
from converter.trust.identity import EXACT_REFERENCE, EXACT_REPOSITORY, MATCH_DIGEST_OR_EXACT, IdentityRule

if TYPE_CHECKING:
    import jsonschema_rs

PATHS = ("dir", "oci", "oci-archive")
"""The transports whose scopes are paths."""

ACCEPT, REJECT = "insecureAcceptAnything", "reject"
SIGNED_BY, SIGSTORE, BASE_LAYER = "signedBy", "sigstoreSigned", "signedBaseLayer"

Read = Callable[[str], bytes]
"""Returns the content of a file that a policy names."""

_GPG = "GPGKeys"


@frozen
class Policy:
    """The whole file. ``transports`` holds unparsed lists of requirements by transport and scope."""

    default: list[Any]
    transports: dict[str, dict[str, list[Any]]]

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """Parse a policy; raises Invalid for anything that does not follow the manual page, in any scope."""
        document = load_object(data)
        _check_structure(document)
        policy = cls(default=document["default"], transports=document.get("transports", {}))
        with within("default"):
            policy.requirements("", None, lambda _: b"")
        for transport, scopes in policy.transports.items():
            for scope in scopes:
                with within(transport), within(scope or "all"):
                    policy.requirements(transport, scope, lambda _: b"")
        return policy

    def scope(self, transport: str, scopes: Iterator[str]) -> str | None:
        """The first of ``scopes``, most specific first, that has requirements; None if only the default applies."""
        own = self.transports.get(transport, {})
        return next((scope for scope in (*scopes, "") if scope in own), None)

    def requirements(self, transport: str, scope: str | None, read: Read) -> tuple[Requirement, ...]:
        """Those of a scope that ``scope`` returned. Reads the files that they name; raises Invalid."""
        rows = self.default if scope is None else self.transports[transport][scope]
        return tuple(_requirement(place, row, read) for place, row in enumerate(rows))


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


@frozen
class Requirement:
    """One requirement: one of the ``keys`` has to have signed, or somebody with a certificate of a CA.

    ``roots`` and ``intermediates`` are certificates of that CA (PEM). The signer must have the ``email``, the
    ``hostname``, and the identity provider ``issuer`` that authenticated them to Fulcio: all of these that are not
    empty. With a CA, an e-mail address or a host name is given. With ``logs``, which are keys of Rekor, one of those
    logs has to have logged the signature. ``unmet`` says why nothing can meet it, ``where`` is its place, for messages.
    """

    kind: str
    where: str
    keys: tuple[bytes, ...] = ()
    roots: bytes = b""
    intermediates: bytes = b""
    email: str = ""
    hostname: str = ""
    issuer: str = ""
    logs: tuple[bytes, ...] = ()
    rule: IdentityRule
    unmet: str = ""


def _requirement(place: int, row: dict[str, Any], read: Read) -> Requirement:
    """The requirement at a place of a list that follows the schema; raises Invalid for what a schema cannot say."""
    unmet = ""
    if row["type"] == BASE_LAYER:
        unmet = "nothing tells base layers"
    elif row.get("keyType", _GPG) != _GPG:
        unmet = f"keys of the type {row['keyType']} are not supported"
    authority: dict[str, str] = row.get("fulcio") or row.get("pki") or {}
    identity = row.get("signedIdentity") or row.get("baseLayerIdentity") or {"type": MATCH_DIGEST_OR_EXACT}
    with within(f"requirement[{place}]"):
        return Requirement(
            kind=row["type"],
            where=f"the policy's requirement[{place}] ({row['type']})",
            logs=_files(row, "rekorPublicKey", read),
            roots=b"".join(_files(authority, "ca", read) or _files(authority, "caRoots", read)),
            intermediates=b"".join(_files(authority, "caIntermediates", read)),
            email=authority.get("subjectEmail", ""),
            hostname=authority.get("subjectHostname", ""),
            issuer=authority.get("oidcIssuer", ""),
            keys=_files(row, "key", read),
            rule=_identity_rule(identity),
            unmet=unmet,
        )


def _files(row: dict[str, Any], name: str, read: Read) -> tuple[bytes, ...]:
    """What is in the files of the one member that ``name`` begins; empty if there is none."""
    for member, value in row.items():
        texts = value if isinstance(value, list) else [value]
        if member in (f"{name}Path", f"{name}Paths"):
            return tuple(map(read, texts))
        if member in (f"{name}Data", f"{name}Datas"):
            return tuple(decode_base64(text, member) for text in texts)
    return ()


def _identity_rule(row: dict[str, Any]) -> IdentityRule:
    """The rule for names in a requirement; raises Invalid."""
    kind = row["type"]
    if kind == EXACT_REFERENCE:
        exact = ImageName.parse_signed(row["dockerReference"])
        if exact.bare:
            raise Invalid(f'dockerReference "{exact}" has neither a tag nor a digest')
        return IdentityRule(kind=kind, reference=str(exact))
    if kind == EXACT_REPOSITORY:
        return IdentityRule(kind=kind, reference=ImageName.parse_signed(row["dockerRepository"]).name)
    return IdentityRule(kind=kind, prefix=row.get("prefix", ""), signed_prefix=row.get("signedPrefix", ""))


def _check_structure(document: dict[str, Any]) -> None:
    """Raises Invalid for a violation of the schema."""
    validator = validator_of("policy")  # before the import: this one must not be the first
    import jsonschema_rs

    try:
        # Written and read again, because the validator takes no floats of a class of one's own. It looks for one
        # violation: all of them take some kilobytes each.
        validator.validate(json.loads(dump_json(document)))
    except jsonschema_rs.ValidationError as error:
        path = error.instance_path
        match path:
            case ["transports", transport, int(), *_]:
                path = [transport, "all", *path[2:]]  # the validator leaves out an empty name
            case ["transports", _, *_]:
                path = path[1:]
        trail = (f"requirement[{part}]" if isinstance(part, int) else part for part in path)
        raise Invalid(_violation(error), *trail) from None


def _violation(error: jsonschema_rs.ValidationError) -> str:
    kind, (_, _, place) = error.kind, (error.absolute_keyword_location or "").partition("#")
    if kind.name in ("enum", "minItems", "minLength", "required", "type"):
        return violation_text(error)
    violated = follow_pointer(schema_file("policy.json"), place.removesuffix(f"/{kind.name}"))
    if kind.name == "additionalProperties":
        unknown = kind.as_dict()["unexpected"][0]
        return f'unknown member "{unknown[:60]}" (known: {", ".join(sorted(violated["properties"]))})'
    description: str = violated["description"]
    expected = f"expected {description[:1].lower()}{description[1:].removesuffix('.')}"
    if kind.name == "propertyNames":
        return f'invalid scope "{kind.as_dict()["error"].instance}": {expected}'
    if kind.name == "pattern":
        return f'{expected}, found "{str(error.instance)[:200]}"'
    return expected
