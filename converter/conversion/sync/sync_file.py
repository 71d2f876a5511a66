"""The file that ``transship sync`` reads: skopeo's sync YAML as it is (skopeo-sync(1)), or our richer form of it.

Members of the file other than ``defaults`` and ``images`` are registries, as in skopeo's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.conversion import Options
from converter.conversion.sync import yaml_text
from converter.conversion.sync.semver import version_range
from converter.errors import Invalid, Usage, within
from converter.model.content import Compression
from converter.model.frozen import frozen
from converter.model.platform import ALL_PLATFORMS, Platform
from converter.model.reference import ImageName, Location
from converter.model.transport import transports_where
from converter.schema.compiled import validator_of, violation_text

if TYPE_CHECKING:
    import jsonschema_rs

    from converter.signing import Signing

Takes = Callable[[str], bool]
MakeSigning = Callable[[Sequence[str]], "Signing"]
"""Makes signers from the names in a file: only the caller knows where keys and their passwords are."""

_BOOLEANS = {
    name: name.replace("-", "_") for name in ("squash", "strict", "preserve-digests", "attachments", "overwrite")
}
"""The boolean members, with their names in ``Options``."""

_FIELDS = _BOOLEANS | {"format": "to", "compress": "compress", "platform": "platforms", "sign": "signing"}
"""Members of ``defaults`` that are options of a command too, with their names in ``Options``."""

_WORDS = {"yes": True, "on": True, "y": True, "no": False, "off": False, "n": False}
"""Words that are booleans in YAML 1.1 besides true and false; elsewhere they are texts, as a tag may be one."""

_CHOICES = {"tags": "images", "tag-regex": "images-by-tag-regex", "semver": "images-by-semver"}
"""Members that choose images by their tags: of an image in our form → of a registry in skopeo's."""

_NETWORK = transports_where(lambda kind: kind.over_network)
_WRITTEN = transports_where(lambda kind: kind.is_written)

KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "credentials": (_NETWORK, (), "it is for a source in a registry"),
    "tls-verify": (_NETWORK, (), "it is for a source in a registry"),
    "cert-dir": (_NETWORK, (), "it is for a source in a registry"),
    "compress": ((), _WRITTEN, "a tree has no layers"),
    "format": ((), _WRITTEN, "a tree has no format"),
    **dict.fromkeys(_CHOICES, (("", *transports_where(lambda kind: kind.lists_images)), (), "the source is one image")),
}
"""Members of an image → the transports of ``from`` and of ``to`` where they have an effect, and why not elsewhere.

The others have an effect everywhere; so have those in ``defaults``, which are for whom they concern.
"""

NAME_FIELDS = ("host", "repository", "name", "tag", "digest")
NAME_FIELD = re.compile(r"\{([^{}]*)\}")
"""The fields of the template of a name."""

SHOWN = 20
"""The most faults of a file that are reported at once."""


@frozen
class SyncEntry:
    """Some images of one source: those in ``references`` (tags or digests), or all whose name ``takes`` accepts.

    ``rename`` is the template of their names at ``to``; empty for the usual one.
    """

    source: Location
    references: tuple[str, ...] = ()
    takes: Takes | None = None
    to: Location
    rename: str = ""
    options: Options


def check_template(template: str) -> str:
    """The template itself; raises Usage for an unknown field."""
    for found in NAME_FIELD.findall(template):
        if found not in NAME_FIELDS:
            known = ", ".join(f"{{{field}}}" for field in NAME_FIELDS)
            raise Usage(f'unknown field {{{found[:60]}}} in the name "{template[:200]}" (one of: {known})')
    return template


def read_sync_file(
    data: bytes,
    options: Options,
    to: Location | None,
    signing: MakeSigning,
    rename: str = "",
    *,
    unused: Mapping[str, str] | None = None,
) -> list[SyncEntry]:
    """The entries of a file. ``options``, ``to`` and ``rename`` are the command's: they apply unless an entry itself
    says otherwise, and override the file's ``defaults``. ``unused`` are members that the command has no use for, with
    the reason.

    Raises Invalid with every fault and its line, and Usage, also if every entry has another ``to`` than the command's.
    """
    found = yaml_text.read_yaml(data)
    if found.value is None:
        raise Invalid('the file is empty: expected "images", or registries (docs/sync.md)')
    _name_flags(found.value)
    _validate(found)
    value: dict[str, Any] = found.value
    reading = _Reading(found, _defaults(value, options, to, check_template(rename)), options, to, signing, unused or {})
    reading.require_used("defaults", own=value.get("defaults") or {})
    entries = [*reading.registries(value), *reading.images(value)]
    if to is not None and entries and all(entry.to != to for entry in entries):
        raise Usage(f'destination {to} has no effect: each image of the file has its own "to"')
    return entries


def _defaults(value: Mapping[str, Any], options: Options, to: Location | None, rename: str) -> dict[str, Any]:
    """The file's defaults that the command does not override, and its ``rename``."""
    defaults = dict(value.get("defaults") or {})
    unset = Options()
    for member, name in _FIELDS.items():
        if getattr(options, name) != getattr(unset, name):
            defaults.pop(member, None)
    if to is not None:
        defaults.pop("to", None)
    if rename:
        defaults["rename"] = rename
    return defaults


@frozen(kw_only=False)
class _Reading:
    document: yaml_text.Document
    defaults: Mapping[str, Any]
    options: Options
    to: Location | None
    signing: MakeSigning
    unused: Mapping[str, str]

    def require_used(self, *path: str | int, own: Mapping[str, Any]) -> None:
        """Raise Usage for a member that the command has no use for."""
        for key, why in self.unused.items():
            if key in own:
                with within(self._line((*path, key))):
                    raise Usage(f'"{key}" has no effect here: {why}')

    def registries(self, value: Mapping[str, Any]) -> Iterator[SyncEntry]:
        """The entries in skopeo's form, each read as if it were in ours."""
        for host, members in value.items():
            if host in ("defaults", "images"):
                continue
            for choice, member in _CHOICES.items():
                for name, chosen in (members.get(member) or {}).items():
                    own = {**members, "from": f"docker://{host}/{name}", choice: chosen}
                    yield self._entry((host, member, name), own)

    def images(self, value: Mapping[str, Any]) -> Iterator[SyncEntry]:
        for index, members in enumerate(value.get("images") or ()):
            yield self._entry(("images", index), members)

    def _entry(self, path: yaml_text.Path, own: Mapping[str, Any]) -> SyncEntry:
        top = path[:2] if path[0] == "images" else path[:1]
        self.require_used(*top, own=own)
        with within(self._line(path)):
            if len(_CHOICES.keys() & own) > 1:
                raise Usage("tags, tag-regex and semver cannot be used together: choose one")
            members = {**self.defaults, **own}
            to = Location.parse(members["to"]) if "to" in members else self.to
            if to is None:
                raise Usage('no destination: add "to" here or in defaults, or name one on the command line')
            location = Location.parse(own["from"])
            if location.kind.access == "registry":
                ImageName.parse(location.path)
            for key, (sources, targets, why) in KEYS.items():
                if key in own and location.transport not in sources and to.transport not in targets:
                    raise Usage(f'"{key}" has no effect here: {why}')
            filters = [make(own[key]) for key, make in _FILTERS.items() if key in own]
            return SyncEntry(
                source=location,
                references=tuple(own.get("tags") or ()),
                takes=filters[0] if filters else None,
                to=to,
                rename=check_template(members.get("rename", "")),
                options=self._options(members),
            )

    def _options(self, members: Mapping[str, Any]) -> Options:
        values: dict[str, Any] = {name: members[key] for key, name in _FIELDS.items() if key in members}
        if "compress" in members:
            values["compress"] = Compression.parse(members["compress"])
        if "platform" in members:
            platforms = _list(members["platform"])
            if platforms != ALL_PLATFORMS:
                platforms = tuple(str(Platform.parse(one)) for one in platforms)
            values["platforms"] = platforms
        if "sign" in members:
            values["signing"] = self.signing(_list(members["sign"]))
        store = self.options.store
        if "credentials" in members:
            pair = members["credentials"]
            store = replace(store, credentials=(pair["username"], pair["password"]), anonymous=False)
        if "tls-verify" in members:
            store = replace(store, tls_verify=members["tls-verify"])
        if "cert-dir" in members:
            store = replace(store, cert_dir=Path(members["cert-dir"]))
        # What a file says about a source does not apply to its destinations.
        return replace(self.options, store=store, target_store=self.options.writing, **values)

    def _line(self, path: yaml_text.Path) -> str:
        return f"line {self.document.line(path)}"


def _list(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _regex_filter(pattern: str) -> Takes:
    """Match as Go's regular expressions, which skopeo uses: in linear time, within 8 MiB."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True  # each capture group multiplies the memory of those around it
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        fact = error.args[0].decode("utf-8", "replace")
        raise Invalid(f'invalid regular expression "{pattern[:200]}": {fact[:200]}') from None
    return lambda tag: compiled.search(tag) is not None


_FILTERS: Mapping[str, Callable[[str], Takes]] = {"tag-regex": _regex_filter, "semver": version_range}
"""The members that choose images by what their tags are like."""


def _name_flags(value: Any) -> None:
    """Replace the words for true and false where a boolean is meant."""
    if not isinstance(value, dict):
        return
    images = value.get("images")
    for members in (*value.values(), *(images if isinstance(images, list) else ())):
        if isinstance(members, dict):
            flags = {name: members[name] for name in ("tls-verify", *_BOOLEANS) if name in members}
            members |= {name: _WORDS.get(str(value).lower(), value) for name, value in flags.items()}


def _validate(found: yaml_text.Document) -> None:
    errors = validator_of("sync").iter_errors(found.value)
    faults = {_fault(found, tuple(error.instance_path), error) for error in errors}
    lines = [f"line {line}: {fact}" for line, fact in sorted(faults)]
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"and {len(lines) - SHOWN} more"]
    if lines:
        raise Invalid("; ".join(lines))


def _fault(found: yaml_text.Document, path: yaml_text.Path, error: jsonschema_rs.ValidationError) -> tuple[int, str]:
    where = f"{'.'.join(map(str, path))}: " if path else ""
    hint = ""
    match error.kind.name, path, error.instance:
        case "additionalProperties", _, _:
            unknown = error.kind.as_dict()["unexpected"]
            members = ", ".join(map(_quoted, unknown))
            return found.line((*path, unknown[0])), f"{where}unknown member {members} (docs/sync.md has all)"
        case "type", ("images", _), str(image):
            hint = f" (write: - from: {image[:100]})"
        case "type", (member,), _ if member not in ("defaults", "images"):
            hint = " (a member besides defaults and images is a registry)"
        case "type", _, str(text) if "credentials" not in path:
            hint = f" ({_quoted(text)})"
    return found.line(path), f"{where}{violation_text(error)}{hint}"


def _quoted(value: Any) -> str:
    return f'"{str(value)[:100]}"'
