"""CA certificates to check a host, and the client certificate shown to it (containers-certs.d(5); Docker's certs.d)."""

from __future__ import annotations

import ssl
from pathlib import Path

from converter.errors import Invalid, NotFound
from converter.stores.disk import disk_error
from converter.stores.options import StoreOptions


def cert_dirs(home: Path) -> tuple[Path, ...]:
    """Where container tools keep certificates by host, in their order (containers-certs.d(5))."""
    return (
        home / ".config/containers/certs.d",
        Path("/etc/containers/certs.d"),
        Path("/etc/docker/certs.d"),
    )


def folder_of(host: str, port: int, options: StoreOptions) -> Path | None:
    """The folder of ``HOST:PORT``, or of ``HOST`` if the port is 443: the first that exists.

    IPv6 addresses are in brackets there, as in references.
    """
    if options.cert_dir is not None:
        if not options.cert_dir.is_dir():
            raise NotFound(f"{options.cert_dir}: no such directory (--cert-dir)")
        return options.cert_dir
    host = f"[{host}]" if ":" in host else host
    names = [f"{host}:{port}", *([host] if port == 443 else [])]
    folders = (folder / name for folder in cert_dirs(options.home) for name in names)
    return next((folder for folder in folders if folder.is_dir()), None)


def context_for(host: str, port: int, options: StoreOptions) -> ssl.SSLContext:
    """The TLS context for a host.

    ``*.crt`` are authorities in addition to the system's; ``X.cert`` with ``X.key`` is shown to the host. Raises
    Invalid if one of a pair is missing or a file cannot be loaded.
    """
    if options.tls_verify:
        context = ssl.create_default_context()
        # Set by default since Python 3.13, but many private authorities' certificates lack what it requires.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    else:
        # Loading the system's authorities takes 20 ms, and they would not be used.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    folder = folder_of(host, port, options)
    if folder is None:
        return context
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise disk_error(error, folder, "read") from error
    for name in names:
        _load_certificates(context, folder / name, names)
    return context


def _load_certificates(context: ssl.SSLContext, path: Path, names: list[str]) -> None:
    try:
        if path.suffix == ".crt":
            context.load_verify_locations(cafile=path)
        elif path.suffix == ".cert":
            if f"{path.stem}.key" not in names:
                raise Invalid(f"{path} has no key: add {path.stem}.key next to it")
            context.load_cert_chain(path, path.with_suffix(".key"), password=no_password)
        elif path.suffix == ".key" and f"{path.stem}.cert" not in names:
            raise Invalid(f"{path} has no certificate: add {path.stem}.cert next to it")
    except (OSError, ValueError) as error:
        # SSLError is an OSError, and its text names only OpenSSL's internals.
        raise Invalid(
            f"cannot load {path}: expected PEM; a key must match its certificate and have no password"
        ) from error


def no_password() -> str:
    """Raise ValueError: otherwise OpenSSL would ask on the terminal."""
    raise ValueError
