"""Which schema definition stands for which rule, and its wording."""

from __future__ import annotations

from typing import NamedTuple


class Named(NamedTuple):
    """One definition: its rule, without the document's family (``oci/digest-syntax``).

    ``form`` says what its pattern asks for; it is empty if there is no pattern.
    """

    rule: str
    title: str
    form: str = ""


_COMMON, _ACI = "common.json#/$defs/", "aci-common.json#/$defs/"

NAMED = {
    f"{_COMMON}digest": Named(
        "digest-syntax",
        "A digest is an algorithm, a colon and an encoded hash.",
        "ALGORITHM:HASH, as in sha256: and 64 hex digits",
    ),
    f"{_COMMON}media-type": Named(
        "media-type-syntax",
        "A media type is a type and a subtype of RFC 6838.",
        "TYPE/SUBTYPE, as in application/json, without parameters",
    ),
    f"{_COMMON}timestamp": Named(
        "timestamp-syntax",
        "A time is written as RFC 3339 says.",
        "an RFC 3339 time, as in 2015-10-31T22:22:56Z",
    ),
    "docker-common.json#/$defs/timestamp": Named(
        "timestamp-syntax",
        "A time is written as RFC 3339 says.",
        "an RFC 3339 time, as in 2015-10-31T22:22:56Z",
    ),
    f"{_COMMON}url": Named(
        "url-syntax",
        "A URL has a scheme, and no backslash.",
        "an absolute URL, as in https://example.com/layer",
    ),
    f"{_COMMON}base64": Named(
        "data-base64", "Embedded content is in base64 with padding.", "base64 with + and /, and = where it is short"
    ),
    f"{_COMMON}size": Named("size", "A size is a number of bytes, not negative."),
    "docker-schema2.json#/$defs/layer-type": Named("layer-media-type", "A layer's media type is one of Docker's."),
    "docker-schema1.json#/$defs/base64url": Named(
        "signature-base64url", "Signatures are in base64 for URLs.", "base64 with - and _, without ="
    ),
    f"{_ACI}identifier": Named(
        "identifier-syntax",
        "An identifier has lower-case letters, digits, -._~/.",
        "lower-case letters, digits and -._~/, with a letter or a digit at both ends",
    ),
    f"{_ACI}name": Named(
        "name-syntax",
        "A name has lower-case letters, digits and -.",
        "lower-case letters, digits and -, with a letter or a digit at both ends",
    ),
    f"{_ACI}version": Named("version-syntax", "A version has three numbers.", "three numbers, as in 0.8.11"),
    f"{_ACI}image-id": Named("image-id-syntax", "An image ID is sha512- and a hash.", "sha512- and a hash"),
    f"{_ACI}variable": Named(
        "environment-name",
        "A variable's name has letters, digits and _.-.",
        "letters, digits and _.-, with a letter or _ first",
    ),
    f"{_ACI}quantity": Named(
        "quantity-syntax",
        "A quantity is a number with a suffix or an exponent.",
        "a number and perhaps a suffix, as in 250m, 1G, 1.5Gi or 1e3",
    ),
    f"{_ACI}cpu-shares": Named("cpu-shares", "CPU shares are from 2 to 262144."),
    f"{_ACI}oom-score-adj": Named("oom-score-adj", "The adjustment is from -1000 to 1000."),
    f"{_ACI}selinux-part": Named(
        "selinux-context", "A part of an SELinux context has no colon.", "text without a colon"
    ),
    f"{_ACI}seccomp-set/properties/errno": Named(
        "seccomp-errno", "An error is named as in E2BIG.", "the name of an error, as in EPERM"
    ),
    f"{_ACI}port/properties/port": Named("port-number", "A port is from 1 to 65535."),
}
