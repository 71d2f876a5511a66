"""Which certificates a host is trusted by, and shown (containers-certs.d(5); Docker's /etc/docker/certs.d)."""

from __future__ import annotations

import ssl
from pathlib import Path

from converter.errors import Invalid, NotFound, StorageFailed
from converter.stores.registry.access import Access


def folder_of(host: str, port: int, access: Access) -> Path | None:
    """The folder of ``HOST:PORT``, or of ``HOST`` where the port is that of https: the first that is there.

    An address of IPv6 is in brackets there, as it is in references.
    """
    if access.cert_dir is not None:
        if not access.cert_dir.is_dir():
            raise NotFound(f"got no folder {str(access.cert_dir)!r}, want certificates in it")
        return access.cert_dir
    host = f"[{host}]" if ":" in host else host
    names = [f"{host}:{port}", *([host] if port == 443 else [])]
    folders = (folder / name for folder in access.cert_dirs for name in names)
    return next((folder for folder in folders if folder.is_dir()), None)


def context_for(host: str, port: int, access: Access) -> ssl.SSLContext:
    """How TLS is spoken with a host.

    ``*.crt`` are authorities beside those of the system, ``X.cert`` with ``X.key`` is shown to the host. Raises
    Invalid where one of a pair is missing or a file is no certificate.
    """
    if access.tls_verify:
        context = ssl.create_default_context()
        # On since Python 3.13, and many a private authority's certificates lack what it asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    else:
        # The authorities of the system take 20 ms to load, and nobody would ask them.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    folder = folder_of(host, port, access)
    if folder is None:
        return context
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise StorageFailed(f"got {error.strerror!r} for {str(folder)!r}, want certificates") from error
    for name in names:
        _load(context, folder / name, names)
    return context


def _load(context: ssl.SSLContext, path: Path, names: list[str]) -> None:
    try:
        if path.suffix == ".crt":
            context.load_verify_locations(cafile=path)
        elif path.suffix == ".cert":
            if f"{path.stem}.key" not in names:
                raise Invalid(f"got {str(path)!r} without {path.stem}.key, want both")
            context.load_cert_chain(path, path.with_suffix(".key"), password=no_password)
        elif path.suffix == ".key" and f"{path.stem}.cert" not in names:
            raise Invalid(f"got {str(path)!r} without {path.stem}.cert, want both")
    except (OSError, ValueError) as error:
        # SSLError is an OSError, and its text names OpenSSL's internals only.
        raise Invalid(f"got {str(path)!r} that cannot be loaded, want PEM that fits its kind") from error


def no_password() -> str:
    """Refuses: OpenSSL would ask on the terminal."""
    raise ValueError
