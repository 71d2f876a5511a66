"""Reads YAML with line numbers (YAML 1.1, as PyYAML does); scalars keep their spelling, so ``1.10`` is a tag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import yaml

from converter.errors import Invalid, LimitExceeded
from converter.model.frozen import frozen
from converter.model.limits import current_limits

Path = tuple[str | int, ...]

_PLAIN: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


@frozen
class Document:
    """The value of a file, of mappings, lists, texts, true, false and null; ``lines``, by path, count from 1."""

    value: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of the value at a path, or of the nearest value above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str | bytes) -> Document:
    """Read one YAML document (JSON is YAML too). Raises Invalid with the line, LimitExceeded."""
    current_limits().require("document", len(text), "bytes of YAML")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return Document(value=None if node is None else loader.value_of(node, ()), lines=loader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise Invalid(f"{where}not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise Invalid(f"not valid YAML: {' '.join(str(error).split())[:200]}") from error
    except RecursionError:
        raise LimitExceeded("YAML is nested too deep") from None


class _Loader(yaml.SafeLoader):
    """Counts the nodes as they are made: each takes as much memory as hundreds of bytes of text.

    ``lines`` are those of the values that ``value_of`` has returned.
    """

    def __init__(self, text: str | bytes) -> None:
        super().__init__(text)
        self._limits = current_limits()
        self._nodes = 0
        self.lines: dict[Path, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._nodes += 1
        self._limits.require("yaml_values", self._nodes, "values")
        if self.tag_handles != self.DEFAULT_TAGS:  # a prefix is stored again for each tag that uses it: gigabytes
            raise Invalid("%TAG directives are not allowed")
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        # Nested merges multiply.
        self._limits.require("yaml_values", len(node.value), "values")

    def compose_scalar_node(self, anchor: dict[str, yaml.Node]) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        line = node.start_mark.line + 1
        if "\0" in node.value:
            raise Invalid(f"line {line}: NUL characters are not allowed")
        if any("\ud800" <= letter <= "\udfff" for letter in node.value):
            raise Invalid(f"line {line}: half of a surrogate pair is not a character")
        return node

    def value_of(self, node: yaml.Node, path: Path, around: tuple[yaml.Node, ...] = ()) -> Any:
        """The value of a node that is at ``path``, within the nodes ``around`` it."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        # Aliases can make a short file a long one.
        self._limits.require("yaml_values", len(self.lines), "values")
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.style else _PLAIN.get(node.value.lower(), node.value)
        if node in around:
            raise Invalid(f"line {self.lines[path]}: the value contains itself")
        around = (*around, node)
        # The path of each value is stored.
        self._limits.require("json_depth", len(around), "lists and mappings within each other")
        if isinstance(node, yaml.SequenceNode):
            return [self.value_of(item, (*path, index), around) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node, path, around)

    def _mapping(self, node: yaml.MappingNode, path: Path, around: tuple[yaml.Node, ...]) -> dict[str, Any]:
        own = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, count in own.most_common(1):
            if count > 1:
                raise Invalid(f'line {node.start_mark.line + 1}: duplicate key "{key[:200]}"')
        self.flatten_mapping(node)
        found = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Invalid(f"line {key.start_mark.line + 1}: a key must be text")
            self.lines[*path, key.value] = key.start_mark.line + 1
            found[key.value] = self.value_of(item, (*path, key.value), around)
        return found
