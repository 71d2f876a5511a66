"""A caller's settings for talking to hosts: credentials, certificates, patience."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from converter.events import Report, silent
from converter.model.frozen import frozen
from converter.model.limits import DEFAULT, Limits
from converter.stores.options import StoreOptions

if TYPE_CHECKING:
    from converter.stores.hosts import Hosts


@frozen
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


@frozen
class Access:
    """How to talk to hosts. Paths and proxies come from the caller: nothing here reads the environment.

    ``auth_files`` are searched in order; missing ones are skipped, unless ``auth_file_named``. ``cert_dirs`` have one
    folder per host each, and the first that has one for the host is used; ``cert_dir`` is that folder itself, for any
    host. Without ``tls_verify``, certificates are not checked, and registries without TLS are accepted. ``timeout`` is
    in seconds without any progress, ``retries`` how often a failed request is repeated. ``hosts`` is what a run of many
    images shares, None for a single conversion. ``chunk`` is the size in bytes of upload parts; None sends each blob
    whole if the registry allows it. ``delegated``: another machine has asked for this, and gives no credentials.
    ``report`` is called for each retry, unless ``hosts`` reports them.
    """

    credentials: Credentials | None = None
    anonymous: bool = False
    auth_files: tuple[Path, ...] = ()
    auth_file_named: bool = False
    cert_dirs: tuple[Path, ...] = ()
    cert_dir: Path | None = None
    tls_verify: bool = True
    helper_path: str | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, hash=False)
    download_foreign: bool = False
    chunk: int | None = None
    timeout: float = 60.0
    retries: int = 5
    connections: int = 8
    limits: Limits = DEFAULT
    hosts: Hosts | None = None
    delegated: bool = False
    report: Report = field(default=silent, compare=False)


def access_of(options: StoreOptions) -> Access:
    """The options of all stores as settings for those that speak HTTP."""
    environment = options.environment
    home = Path(environment.get("HOME") or "/nonexistent")
    return Access(
        credentials=_credentials(options),
        anonymous=options.anonymous,
        auth_files=(options.authfile,) if options.authfile else auth_files(environment, home, os.getuid()),
        auth_file_named=options.authfile is not None,
        cert_dirs=cert_dirs(home),
        cert_dir=options.cert_dir,
        tls_verify=options.tls_verify,
        helper_path=environment.get("PATH"),
        proxies=proxies_of(environment),
        download_foreign=options.download_foreign,
        chunk=options.chunk,
        timeout=options.timeout,
        retries=options.retries,
        connections=options.jobs + 4,
        limits=options.limits,
        hosts=options.hosts,
        delegated=options.delegated,
        report=options.report,
    )


def _credentials(options: StoreOptions) -> Credentials | None:
    if options.token:
        return Credentials(registry_token=options.token)
    if options.credentials is not None:
        username, password = options.credentials
        return Credentials(username=username, password=password)
    return None


def auth_files(environment: Mapping[str, str], home: Path, user: int) -> tuple[Path, ...]:
    """Where container tools keep credentials, in their order (containers-auth.json(5)); a named file excludes the
    others.

    ``environment`` is that of the process, ``user`` its numeric ID.
    """
    named = environment.get("REGISTRY_AUTH_FILE")
    if named:
        return (Path(named),)
    runtime = environment.get("XDG_RUNTIME_DIR")
    config = environment.get("XDG_CONFIG_HOME")
    docker = environment.get("DOCKER_CONFIG")
    return (
        Path(runtime, "containers/auth.json") if runtime else Path(f"/run/containers/{user}/auth.json"),
        (Path(config) if config else home / ".config") / "containers/auth.json",
        (Path(docker) if docker else home / ".docker") / "config.json",
    )


def cert_dirs(home: Path) -> tuple[Path, ...]:
    """Where container tools keep certificates by host, in their order (containers-certs.d(5))."""
    return (
        home / ".config/containers/certs.d",
        Path("/etc/containers/certs.d"),
        Path("/etc/docker/certs.d"),
    )


def proxies_of(environment: Mapping[str, str]) -> dict[str, str]:
    """``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, in either case, as ``http``, ``https`` and ``no``."""
    found = {}
    for scheme in ("http", "https", "no"):
        value = environment.get(f"{scheme}_proxy") or environment.get(f"{scheme}_proxy".upper())
        if value:
            found[scheme] = value
    return found
