"""Finds the credentials for a repository in the files and programs of other tools (containers-auth.json(5))."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from converter.errors import Denied, Invalid, NotFound, within
from converter.model.document import lenient_member, load_object, member_or_empty
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.model.reference import DEFAULT_HOST, with_namespaces
from converter.stores.disk import disk_error
from converter.stores.options import StoreOptions

HUB_KEY = "https://index.docker.io/v1/"
"""The key for Docker Hub in Docker's configuration."""

_HUB = (DEFAULT_HOST, "index.docker.io", "registry-1.docker.io", HUB_KEY)

_HELPER_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HELPER_SECONDS = 60


@frozen(kw_only=False)
class Credentials:
    """Credentials for a registry; secrets never appear in the repr."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """Obtains tokens by OAuth 2 (distribution: docs/spec/auth/oauth.md), instead of a password."""

    registry_token: str = field(default="", repr=False)
    """Serves as the bearer token itself."""

    source: str = field(default="", compare=False)
    """The file or the helper that had them, for messages; empty if the caller gave them."""

    def __str__(self) -> str:
        who = f'"{self.username}"' if self.username else "the token"
        return f"{who} from {self.source}" if self.source else who


def find_credentials(host: str, repository: str, options: StoreOptions) -> Credentials | None:
    """The credentials for ``host/repository``; None means anonymous.

    Given credentials win; then each auth file in order: its ``credHelpers``, its ``auths``, its ``credsStore``, each
    for the repository first, then for the namespaces above it, then for the host. Raises Invalid for a broken file,
    Denied if a helper fails.
    """
    if options.anonymous:
        return None
    if options.token:
        return Credentials(registry_token=options.token)
    if options.credentials is not None:
        return Credentials(*options.credentials)
    for path in auth_files(options):
        document = _read_auth_file(path, must_exist=options.authfile is not None)
        with within(str(path)):
            found = found_in(document, with_namespaces(f"{host}/{repository}"), options.environment.get("PATH"))
        if found is not None:
            source = f"{found.source} ({path})" if found.source else str(path)
            return replace(found, source=source)
    return None


def auth_files(options: StoreOptions) -> tuple[Path, ...]:
    """Where container tools keep credentials, in their order (containers-auth.json(5)); a named file excludes the
    others, and must be there only if ``--authfile`` names it.
    """
    environment = options.environment
    named = options.authfile or environment.get("REGISTRY_AUTH_FILE")
    if named:
        return (Path(named),)
    runtime = environment.get("XDG_RUNTIME_DIR")
    config = environment.get("XDG_CONFIG_HOME") or options.home / ".config"
    docker = environment.get("DOCKER_CONFIG") or options.home / ".docker"
    return (
        Path(runtime, "containers/auth.json") if runtime else Path(f"/run/containers/{os.getuid()}/auth.json"),
        Path(config, "containers/auth.json"),
        Path(docker, "config.json"),
    )


def _read_auth_file(path: Path, *, must_exist: bool) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(current_limits().document + 1)
    except OSError as error:
        if not must_exist and isinstance(error, (FileNotFoundError, PermissionError)):
            return {}
        if isinstance(error, FileNotFoundError):
            raise NotFound(f"{path}: no such file or directory (--authfile)") from None
        raise disk_error(error, path, "read") from error
    try:
        return load_object(data) if data.strip() else {}
    except Invalid:
        # The original error may quote the file.
        raise Invalid(f'{path} is not a JSON object: expected one with "auths", as `podman login` writes it') from None


def found_in(document: Mapping[str, Any], keys: Sequence[str], helper_path: str | None) -> Credentials | None:
    """The credentials of one auth file for the first key that it knows; raises like ``find_credentials``."""
    helpers, auths = lenient_member(document, "credHelpers", dict), lenient_member(document, "auths", dict)
    names = [name for key in keys for name in _spellings(key)]
    for name in names:
        if name in helpers:
            return ask_helper(helpers[name], name, helper_path)
    plain_names = {key.partition("://")[2].partition("/")[0]: key for key in auths if "://" in key}
    for one in names:
        for name in (one, plain_names.get(one, one)):
            found = _parse_entry(auths.get(name), name)
            if found is not None:
                return found
    store = document.get("credsStore")
    if isinstance(store, str) and store:
        host = keys[-1]
        return ask_helper(store, HUB_KEY if host in _HUB else host, helper_path)
    return None


def _spellings(key: str) -> tuple[str, ...]:
    """A key, and other files' names for the same host."""
    return (key, *_HUB) if key in _HUB else (key,)


_ENTRY = ("username", "password", "auth", "identitytoken", "registrytoken")


def _parse_entry(value: Any, name: str) -> Credentials | None:
    entry = value if isinstance(value, Mapping) else {}
    with within(name):
        username, password, encoded, identity, registry = (member_or_empty(entry, each, str) for each in _ENTRY)
    if encoded:
        try:
            # An auth encoded by hand often contains line breaks.
            encoded = "".join(encoded.split())
            username, _, password = base64.b64decode(encoded, validate=True).decode().rstrip("\0").partition(":")
        except ValueError:
            raise Invalid(f'credentials for "{name}": invalid auth: expected USER:PASSWORD in base64') from None
    if not any((username, identity, registry)):
        return None
    return Credentials(username, password, identity, registry)


def ask_helper(name: Any, key: str, path: str | None) -> Credentials | None:
    """The answer of ``docker-credential-NAME get``; None if it has nothing for the key.

    Raises Denied if it cannot be run. Its output is not shown, because it may be a secret.
    """
    if not isinstance(name, str) or not re.fullmatch(_HELPER_NAME, name):
        raise Invalid(f'invalid credential helper "{name}": expected NAME for the program docker-credential-NAME')
    import shutil
    import subprocess

    helper = f"docker-credential-{name}"
    failure = f"cannot get the credentials for {key}"
    program = shutil.which(helper, path=path)
    if program is None:
        raise Denied(f"{failure}: the program {helper} is not on PATH")
    try:
        done = subprocess.run(
            [program, "get"], input=key.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Denied(f"{failure}: {helper} did not answer") from error
    if done.returncode != 0:
        # The protocol's own words; some helpers write them to standard error.
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise Denied(f"{failure}: {helper} failed with exit status {done.returncode}")
    try:
        return replace(parse_helper_answer(done.stdout), source=helper)
    except (Invalid, KeyError):
        raise Denied(f"{failure}: the answer of {helper} has no Username and Secret") from None


def parse_helper_answer(answer: bytes) -> Credentials:
    """Parse a helper's answer; raises Invalid, KeyError if it has no credentials."""
    document = load_object(answer)
    username, secret = str(document["Username"]), str(document["Secret"])
    if username == "<token>":
        return Credentials(identity_token=secret)
    return Credentials(username, secret)
