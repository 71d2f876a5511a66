"""Rules of OCI documents that no schema states (image-spec 1.1.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from converter.errors import unless_invalid
from converter.model import media_types as types
from converter.model.descriptor import HEX_LENGTHS, Descriptor, Digest
from converter.model.document import lenient_member
from converter.schema.compiled import engine_refuses
from converter.schema.finding import Hit, Rule
from converter.schema.kinds import schema_file
from converter.schema.shared_checks import (
    TIMES,
    ambiguous_members,
    bad_diff_id,
    bad_digest,
    bad_ports,
    bad_time,
    bad_variable,
    history_mismatch,
    impossible_time,
    is_uri,
    is_url,
    not_go_time,
    of_texts,
    only_types,
    values_at,
    wrong_form,
)

_DESCRIPTORS = ("config", "layers/*", "manifests/*", "subject")
_URLS = ("urls/*", *(f"{path}/urls/*" for path in _DESCRIPTORS))
_SCHEMED = r"[A-Za-z][A-Za-z0-9+.-]*:[^\\\r\n]*"
_PLATFORM_NAMES = {
    "os": (
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "illumos",
        "ios",
        "js",
        "linux",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "wasip1",
        "windows",
    ),
    "architecture": (
        "386",
        "amd64",
        "arm",
        "arm64",
        "loong64",
        "mips",
        "mipsle",
        "mips64",
        "mips64le",
        "ppc64",
        "ppc64le",
        "riscv64",
        "s390x",
        "wasm",
    ),
}


def data_matches(document: Any) -> Iterator[Hit]:
    """Embedded content that does not match the size and the digest beside it, where these can be read."""
    for where, member in values_at(dict, document, "", *_DESCRIPTORS):
        claim = {name: member.get(name) for name in ("digest", "size", "data")}
        descriptor = unless_invalid(Descriptor.from_json, claim)
        if descriptor is None or descriptor.data is None:
            continue
        data, digest = descriptor.data, descriptor.digest
        if descriptor.size != len(data):
            yield f"{where}/data", f"size mismatch: expected {descriptor.size} bytes, found {len(data)}"
        elif digest.algorithm in HEX_LENGTHS and Digest.of(data, digest.algorithm) != digest:
            yield f"{where}/data", f"digest mismatch: the content is not that of {str(digest)[:150]}"


def url_for_go(text: str) -> str:
    """Why Go does not read a URL that RFC 3986 allows; like the functions below, empty if nothing is wrong."""
    escaped = is_uri(text) and not is_url(text)
    return f'URL "{text[:100]}" cannot be read by Go: the host has escapes' if escaped else ""


def url(text: str) -> str:
    """Why the part of a URL after the scheme is malformed."""
    if re.fullmatch(_SCHEMED, text) is None or is_url(text) or is_uri(text):
        return ""
    return f'invalid URL "{text[:100]}": the host, the port or an escape is malformed'


def url_blank(text: str) -> str:
    """Why a URL has blanks."""
    blank = re.search(r"\s", text) and is_url(text)
    return f'URL "{text[:100]}" has a space: it is written %20' if blank else ""


def url_characters(text: str) -> str:
    """Why RFC 3986 does not accept a URL that Go accepts, for other reasons than blanks."""
    if not is_url(text) or is_uri(text) or re.search(r"[\\\s]", text):
        return ""
    return f'URL "{text[:100]}" has characters that RFC 3986 requires to be escaped'


def layer_type(document: Any) -> Iterator[Hit]:
    """Layers of an image whose media type the specification does not define."""
    config = lenient_member(document, "config", dict)
    if config.get("mediaType") != types.OCI_CONFIG:
        return
    for where, media in values_at(str, document, "layers/*/mediaType"):
        if media not in types.OCI_LAYERS:
            yield where, f'media type "{media[:150]}" is not one of the specification, such as {types.OCI_LAYER_GZIP}'


def artifact_type(document: Any) -> Iterator[Hit]:
    """Manifests with neither a configuration nor an artifactType."""
    for where, media in values_at(str, document, "config/mediaType"):
        if media == types.OCI_EMPTY and not document.get("artifactType"):
            yield where, f"with {types.OCI_EMPTY}, artifactType must say what this is"


def platform(document: Any) -> Iterator[Hit]:
    """Operating systems and processors that do not have Go's names."""
    for where, item in values_at(dict, document, "", "manifests/*/platform"):
        if "unknown" in (item.get("os"), item.get("architecture")):
            # Attestations are listed this way.
            continue
        for name, allowed in _PLATFORM_NAMES.items():
            value = item.get(name)
            if isinstance(value, str) and value not in allowed:
                fact = f'unknown {name} "{value[:60]}": expected a name that Go knows, such as linux or amd64'
                yield f"{where}/{name}", fact


def docker_members(document: Any) -> Iterator[Hit]:
    """Members that only Docker has in a configuration, of types that the Engine refuses."""
    named = schema_file("oci-config.json")["properties"]
    for _, members in values_at(dict, document, ""):
        others = {key: value for key, value in members.items() if key not in named}
        run = lenient_member(members, "config", dict)
        others["config"] = {key: value for key, value in run.items() if key not in named["config"]["properties"]}
        if others != {"config": {}}:  # seldom, and Docker's schema takes milliseconds
            yield from engine_refuses(others)


_OCI = "image-spec 1.1.1, "
_MANIFESTS = ("oci-manifest", "oci-index")

RULES = (
    Rule(
        name="oci/ambiguous",
        title="A manifest or index has no member that makes it another kind too (CVE-2021-41190).",
        spec=_OCI + "considerations.md; GHSA-77vh-xpmg-72qh",
        kinds=("oci-manifest",),
        check=lambda document: ambiguous_members(document, "config", "layers"),
    ),
    Rule(
        name="oci/ambiguous-index",
        title="An index has no member that makes it a manifest too (CVE-2021-41190).",
        spec=_OCI + "considerations.md; GHSA-77vh-xpmg-72qh",
        kinds=("oci-index",),
        check=lambda document: ambiguous_members(document, "manifests"),
    ),
    Rule(
        name="oci/digest-encoding",
        title="The digest of a descriptor that stands alone has the length of its algorithm and lower-case hex digits.",
        spec=_OCI + "descriptor.md, Registered algorithms",
        kinds=("oci-descriptor",),
        check=of_texts(bad_digest, "digest"),
    ),
    Rule(
        name="oci/reference-digest-encoding",
        title="The digests in a manifest have the length of their algorithm and lower-case hex digits.",
        spec=_OCI + "descriptor.md, Registered algorithms",
        kinds=_MANIFESTS,
        check=of_texts(bad_digest, *(f"{path}/digest" for path in _DESCRIPTORS)),
        note="The official schema does not ask it; containerd, the Engine and podman refuse such a manifest.",
    ),
    Rule(
        name="oci/diff-id",
        title="A diff_id is a digest of a registered algorithm.",
        spec=_OCI + "config.md, Layer DiffID",
        kinds=("oci-config",),
        check=of_texts(bad_diff_id, "rootfs/diff_ids/*"),
        note="The official schema takes any string; containerd, the Engine and podman cannot unpack such a layer.",
    ),
    Rule(
        name="oci/manifest-media-type",
        title="The mediaType of a manifest, where it is there, is that of a manifest.",
        spec=_OCI + "manifest.md, Image Manifest Property Descriptions: mediaType",
        kinds=("oci-manifest",),
        check=of_texts(only_types(types.OCI_MANIFEST), "mediaType"),
        compat="warning",
        note="The reference takes any media type.",
    ),
    Rule(
        name="oci/index-media-type",
        title="The mediaType of an index, where it is there, is that of an index.",
        spec=_OCI + "image-index.md, Image Index Property Descriptions: mediaType",
        kinds=("oci-index",),
        check=of_texts(only_types(types.OCI_INDEX), "mediaType"),
        compat="warning",
        note="The reference takes any media type.",
    ),
    Rule(
        name="oci/layer-media-type",
        title="The layers of an image have media types of the specification.",
        spec=_OCI + "manifest.md, Image Manifest Property Descriptions: layers",
        kinds=("oci-manifest",),
        check=layer_type,
        compat="warning",
        strict="warning",
        note="The reference warns as well; other types are allowed, and an implementation may not know them.",
    ),
    Rule(
        name="oci/artifact-type",
        title="A manifest with the empty configuration has an artifactType.",
        spec=_OCI + "manifest.md, Image Manifest Property Descriptions: artifactType",
        kinds=("oci-manifest",),
        check=artifact_type,
        compat="warning",
        note="The reference does not ask for it.",
    ),
    Rule(
        name="oci/url",
        title="What stands behind the scheme of a URL is well-formed.",
        spec=_OCI + "descriptor.md, Properties: urls; RFC 3986",
        kinds=("oci-descriptor", *_MANIFESTS),
        check=of_texts(url, *_URLS),
    ),
    Rule(
        name="oci/url-for-go",
        title="The host of a URL has no escaped letter.",
        spec=_OCI + "descriptor.md, Properties: urls; RFC 3986",
        kinds=("oci-descriptor", *_MANIFESTS),
        check=of_texts(url_for_go, *_URLS),
        strict=None,
        note="RFC 3986 allows one; Go, in which the reference is written, does not.",
    ),
    Rule(
        name="oci/url-blank",
        title="A URL has no blank.",
        spec=_OCI + "descriptor.md, Properties: urls; RFC 3986",
        kinds=("oci-descriptor", *_MANIFESTS),
        check=of_texts(url_blank, *_URLS),
        compat="warning",
        note="Go, in which the reference is written, takes blanks behind the host.",
    ),
    Rule(
        name="oci/url-characters",
        title="A URL has the characters of RFC 3986, where that allows them.",
        spec=_OCI + "descriptor.md, Properties: urls; RFC 3986",
        kinds=("oci-descriptor", *_MANIFESTS),
        check=of_texts(url_characters, *_URLS),
        compat="warning",
        note="Go, in which the reference is written, takes others as well, such as letters beyond ASCII.",
    ),
    Rule(
        name="oci/data-content",
        title="Embedded content has the size and the digest of its descriptor.",
        spec=_OCI + "descriptor.md, Embedded Content",
        kinds=("oci-descriptor", *_MANIFESTS),
        check=data_matches,
        compat="warning",
        note="The reference does not compare them.",
    ),
    Rule(
        name="oci/subject-media-type",
        title="The subject is a manifest or an index.",
        spec=_OCI + "manifest.md, Image Manifest Property Descriptions: subject",
        kinds=_MANIFESTS,
        check=of_texts(only_types(types.OCI_MANIFEST, types.OCI_INDEX), "subject/mediaType"),
        compat="warning",
        strict="warning",
        note="Manifests of other formats may be subjects, where a registry knows them.",
    ),
    Rule(
        name="oci/platform-names",
        title="Operating systems and processors are named as Go names them.",
        spec=_OCI + "config.md, Properties: architecture, os",
        kinds=("oci-index", "oci-config"),
        check=platform,
        compat="warning",
        strict="warning",
        note="The reference warns as well, of more than this.",
    ),
    Rule(
        name="oci/environment",
        title="A variable is NAME=VALUE.",
        spec=_OCI + "config.md, Properties: config, Env",
        kinds=("oci-config",),
        check=of_texts(bad_variable, "config/Env/*"),
    ),
    Rule(
        name="oci/environment-line",
        title="The value of a variable has no line break.",
        spec=_OCI + "config.md, Properties: config, Env",
        kinds=("oci-config",),
        check=of_texts(wrong_form(r"(?s)(?!=).*\n.*", 'line break in the variable "{:.60}"'), "config/Env/*"),
        compat="warning",
        strict=None,
        note="The validator of the reference refuses it, by accident of its pattern; every runtime takes it.",
    ),
    Rule(
        name="oci/docker-members",
        title="Members that Docker's configuration has besides are of their types there.",
        spec=_OCI + "config.md, Properties; moby image/spec v1.2, Image JSON",
        kinds=("oci-config",),
        check=docker_members,
        compat="warning",
        strict="warning",
        note="OCI does not name them: skopeo, umoci and containerd ignore them, the Engine and podman refuse an image.",
    ),
    Rule(
        name="oci/exposed-ports",
        title="An exposed port is PORT, PORT/tcp or PORT/udp.",
        spec=_OCI + "config.md, Properties: config, ExposedPorts",
        kinds=("oci-config",),
        check=bad_ports,
        compat="warning",
        note="The reference takes any text.",
    ),
    Rule(
        name="oci/history-length",
        title="As many steps of the history made a layer as there are layers.",
        spec=_OCI + "config.md, Properties: history",
        kinds=("oci-config",),
        check=history_mismatch,
        compat="warning",
        note="The reference does not count; its own test has such a configuration.",
    ),
    Rule(
        name="oci/timestamp",
        title="A time is one that a clock shows.",
        spec="RFC 3339, section 5.7",
        kinds=("oci-config",),
        check=of_texts(impossible_time, *TIMES),
    ),
    Rule(
        name="oci/timestamp-for-go",
        title="A time has T and Z in capitals, and no leap second.",
        spec="RFC 3339, section 5.6",
        kinds=("oci-config",),
        check=of_texts(not_go_time, *TIMES),
        strict=None,
        note="RFC 3339 allows small letters and leap seconds; the reference, which is written in Go, reads neither.",
    ),
    Rule(
        name="oci/created-annotation",
        title="The annotation org.opencontainers.image.created is an RFC 3339 time.",
        spec=_OCI + "annotations.md, Pre-Defined Annotation Keys",
        kinds=_MANIFESTS,
        check=of_texts(
            bad_time,
            "annotations/org.opencontainers.image.created",
            "manifests/*/annotations/org.opencontainers.image.created",
        ),
        compat="warning",
        note="The reference does not look into annotations.",
    ),
)
