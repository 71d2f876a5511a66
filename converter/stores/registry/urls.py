"""Decides which URLs may be requested: those from a document or a host are untrusted, those from the user are not."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urldefrag, urlencode, urljoin, urlsplit, urlunsplit

from converter.errors import Invalid, Unsupported

Origin = tuple[str, str, int]
"""Scheme, host and port, which credentials are bound to (RFC 6454)."""

_API = r"/v2/(?:(?P<repository>.+)/)?(?P<kind>_catalog|tags|manifests|blobs|referrers)(?:/(?P<name>.*))?"
"""The path of a request of the distribution-spec."""

_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> Origin:
    """The origin of an absolute URL; raises Invalid if it is not an HTTP URL."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in _PORTS and parts.hostname:
            return parts.scheme, parts.hostname.lower(), parts.port or _PORTS[parts.scheme]
    raise Invalid(f'invalid URL "{url[:200]}": expected http://HOST/… or https://HOST/…')


def display_url(url: str) -> str:
    """A URL for display, without its query and user, which may be secret."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"[:300]


def with_query(url: str, parameters: Mapping[str, str] | list[tuple[str, str]]) -> str:
    """A URL with more parameters in its query."""
    start = urldefrag(url).url
    joint = "&" if "?" in start else "?"
    return f"{start}{joint}{urlencode(parameters)}"


def purpose(method: str, url: str) -> str:
    """What a request is for, in words, as far as it is one of the distribution-spec: ``get manifest 1 of team/app``."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    verb = {"GET": "get", "HEAD": "look for", "DELETE": "delete"}.get(method, "write")
    found = re.fullmatch(_API, parts.path)
    if found is None:
        return f"{verb} {display_url(url)}"
    repository, kind, name = found["repository"], found["kind"], found["name"]
    if kind == "_catalog":
        return f"list the repositories of {host}"
    place = f"{repository} at {host}"
    if kind == "tags":
        return f"list the tags of {place}"
    if kind == "blobs" and name.startswith("uploads"):
        return f"upload to {place}" if verb == "write" else f"{verb} an upload to {place}"
    what = {"manifests": "manifest", "blobs": "blob", "referrers": "the referrers of"}[kind]
    joint = "to" if verb == "write" else "of"
    return f"{verb} {what} {name} {joint} {place}"


def redirect_target(url: str, location: str) -> str:
    """The URL that a host at ``url`` redirects to; raises Unsupported if it must not be followed.

    Refused are a downgrade from https to http, and link-local addresses (where clouds keep secrets) unless the host
    stays the same. A host that calls itself http is unaware of the TLS proxy in front of it: it is contacted as before.
    """
    target = resolve_url(url, location)
    scheme, host, _ = origin_of(target)
    from_scheme, from_host, _ = origin_of(url)
    downgrade = from_scheme == "https" and scheme == "http"
    if downgrade and host == from_host:
        here = urlsplit(url)
        return urlunsplit(urlsplit(target)._replace(scheme=here.scheme, netloc=here.netloc))
    if downgrade:
        raise Unsupported(f"refused to follow {display_url(url)} to {display_url(target)}, from https to http")
    if host != from_host:
        refuse_link_local(target)
    return target


def resolve_url(url: str, location: str) -> str:
    """The absolute URL that a host at ``url`` means (RFC 3986, 5); raises Invalid if it is not an HTTP URL."""
    try:
        target = urljoin(url, location)
    except ValueError:
        raise Invalid(
            f'{display_url(url)} refers to an invalid URL "{location[:200]}": expected http://HOST/… or https://HOST/…'
        ) from None
    origin_of(target)
    return target


def refuse_link_local(url: str) -> None:
    """Raise Unsupported if the URL's host is, or resolves to, a link-local address."""
    _, host, port = origin_of(url)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        # Without an address there is no connection either, unless a proxy knows the name.
        return
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        if (mapped or ip).is_link_local:
            raise Unsupported(f"refused to contact {display_url(url)}: {ip} is a link-local address")


def bypasses_proxy(host: str, exceptions: str) -> bool:
    """Whether a host is contacted without the proxy, on any port.

    This machine always is, as in all Go programs. ``NO_PROXY`` lists names, which include their subdomains, addresses
    and networks; ``*`` matches every host.
    """
    address = _network(host)  # a network of that address alone
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for entry in exceptions.replace(",", " ").lower().split():
        if entry == "*":
            return True
        name = _without_port(entry)
        if address is None:
            name = name.removeprefix("*").removeprefix(".")
            if name and (host == name or host.endswith(f".{name}")):
                return True
        elif (network := _network(name)) is not None and address.network_address in network:
            return True
    return False


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    # More than one colon means an IPv6 address.
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
