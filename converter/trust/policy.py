"""skopeo's policy.json: what has to be signed, and by whom (containers-policy.json(5)).

It is parsed as strictly as by its own tools: an unknown or duplicate member makes the whole file invalid. Only the
requirements of the most specific scope count, and all of them have to be met.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from converter.errors import Invalid, within
from converter.model.descriptor import HEX_LENGTHS
from converter.model.document import expect_type, load_object, optional_member, require_only
from converter.model.frozen import frozen
from converter.model.reference import ImageName
from converter.trust.policy_requirements import Read, Requirement, parse_requirements

PATHS = ("dir", "oci", "oci-archive")
"""The transports whose scopes are paths."""


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
        transports = {}
        for name, scopes in (optional_member(document, "transports", dict) or {}).items():
            with within(name):
                transports[name] = expect_type(scopes, dict)
                for scope in transports[name]:
                    _check_scope(name, scope)
        policy = cls(default=document["default"], transports=transports)
        for where, rows in policy._lists():
            with within(where):
                list(parse_requirements(rows, lambda _: b""))
        return policy

    def scope(self, transport: str, scopes: Iterator[str]) -> str | None:
        """The first of ``scopes``, most specific first, that has requirements; None if only the default applies."""
        own = self.transports.get(transport, {})
        return next((scope for scope in (*scopes, "") if scope in own), None)

    def requirements(self, transport: str, scopes: Iterator[str], read: Read) -> tuple[Requirement, ...]:
        """Those of the scope that applies, else the default. Reads the files that they name."""
        scope = self.scope(transport, scopes)
        rows = self.default if scope is None else self.transports[transport][scope]
        return tuple(parse_requirements(rows, read))

    def _lists(self) -> Iterator[tuple[str, Any]]:
        yield "default", self.default
        for transport, scopes in self.transports.items():
            for scope, rows in scopes.items():
                yield f"{transport} > {scope or 'all'}", rows


def scopes_of(name: ImageName) -> Iterator[str]:
    """The scopes of an image in a registry, most specific first: name, repository, namespaces, host, domains."""
    yield str(name)
    path = name.name
    while path:
        yield path
        path = path.rpartition("/")[0]
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
    if transport in PATHS and not (scope.startswith("/") and scope != "/" and _clean(scope) == scope):
        raise Invalid(f'invalid scope "{scope}": expected an absolute path without "." and "..", and not "/"')
    if transport == "docker-daemon" and scope.partition(":")[0] in HEX_LENGTHS:
        raise Invalid(f'invalid scope "{scope}": expected a name or a part of one')


def _clean(path: str) -> str:
    # POSIX gives two leading slashes a meaning of their own; policies do not.
    return posixpath.normpath("/" + path.lstrip("/"))
