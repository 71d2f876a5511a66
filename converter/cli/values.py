"""One value of a document, for shell scripts: ``--format '{{.Digest}}'``, in the spelling of Go's templates."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from converter.errors import Usage

_FIELD = re.compile(r"\{\{-?\s*(?P<json>json\s+)?\.?(?P<path>[^{}\s]*)\s*-?\}\}")
_PATH = re.compile(r"\.?[A-Za-z][\w.-]*")
_ESCAPES = {r"\n": "\n", r"\t": "\t"}


def fill_template(template: str, document: Mapping[str, Any]) -> str:
    """The template with the document's values; a bare path stands for a template of it alone.

    Members are found whatever their case and underscores: ``{{.MediaType}}`` is ``media_type``. A text is printed as it
    is, everything else as JSON, as is every value of ``{{json .PATH}}``. Raises Usage for an unknown member.
    """
    if _PATH.fullmatch(template):
        template = f"{{{{{template}}}}}"
    rest = _FIELD.sub("", template)
    if "{{" in rest or "}}" in rest or rest == template:
        raise Usage(f'invalid template "{template}": expected {{{{.PATH}}}}, as in {{{{.Digest}}}}, or a path alone')
    for written, meant in _ESCAPES.items():
        template = template.replace(written, meant)

    def value(match: re.Match[str]) -> str:
        found = value_at(match["path"], document)
        text = isinstance(found, str) and not match["json"]
        return str(found) if text else json.dumps(found, ensure_ascii=False)

    return _FIELD.sub(value, template)


def value_at(path: str, document: Any) -> Any:
    """The value at a path such as ``config.env.0``; the document itself for an empty one. Raises Usage."""
    seen: list[str] = []
    rest = path.split(".") if path else []
    while rest:
        there = _members(document)
        # The key of a label may have dots of its own.
        for length in range(len(rest), 0, -1):
            name = ".".join(rest[:length])
            if _plain(name) in there:
                document = there[_plain(name)]
                seen += rest[:length]
                rest = rest[length:]
                break
        else:
            available = ", ".join(_names(document)) or "none"
            raise Usage(f'unknown member "{".".join([*seen, rest[0]])}" (available: {available})')
    return document


def _members(document: Any) -> dict[str, Any]:
    return {_plain(name): value for name, value in zip(_names(document), _values(document), strict=True)}


def _names(document: Any) -> list[str]:
    if isinstance(document, Mapping):
        return list(map(str, document))
    return list(map(str, range(len(document)))) if _is_list(document) else []


def _values(document: Any) -> list[Any]:
    if isinstance(document, Mapping):
        return list(document.values())
    return list(document) if _is_list(document) else []


def _is_list(document: Any) -> bool:
    return isinstance(document, Sequence) and not isinstance(document, str)


def _plain(name: str) -> str:
    return name.lower().replace("_", "")
