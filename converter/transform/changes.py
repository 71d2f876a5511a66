"""Instructions that change how a container is started, as in ``docker import --change`` (Dockerfile reference).

An instruction is one line of a Dockerfile. Variables of the image's environment are expanded where a build does so.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from converter.errors import Usage
from converter.model.image import Image, RunConfig
from converter.model.limits import current_limits
from converter.model.platform import Platform

SHELL = ("/bin/sh", "-c")
_MAY_BE_EMPTY = ("CMD", "ENTRYPOINT")
_INSTRUCTIONS = (*_MAY_BE_EMPTY, "ENV", "EXPOSE", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})")
_NAME = re.compile(r"[^\s=\"']+(?=\s)")
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def apply_changes(image: Image, instructions: Iterable[str]) -> Image:
    """The image after the instructions, in their order; the same if there are none.

    Raises Usage for a wrong one, and LimitExceeded: those of an origin record are anybody's until it is proven.
    """
    config, commanded, work = image.config, False, 0
    for text in instructions:
        name, rest = _split_instruction(text)
        longest = max(map(len, config.env), default=0)
        lists = (config.env, config.exposed_ports, config.labels, config.volumes, config.on_build or ())
        work += sum(map(len, lists)) + text.count("$") * longest
        current_limits().require("document", work, "bytes of variables and members, over all changes")
        config = _changed(config, name, rest)
        if name == "CMD":
            commanded = True
        elif name == "ENTRYPOINT" and not commanded:
            # A command given for another program would be its arguments.
            config = replace(config, cmd=None)
    return replace(image, config=config)


def check_instructions(instructions: Iterable[str]) -> tuple[str, ...]:
    """The instructions, if each can be applied to an image. Raises Usage."""
    found = tuple(instructions)
    apply_changes(Image(platform=Platform(os="", architecture="")), found)
    return found


def is_no_list(instruction: str) -> bool:
    """Whether a command begins as a list, but is none in JSON: as in Docker, it becomes a line for the shell."""
    name, rest = _split_instruction(instruction)
    return name in _MAY_BE_EMPTY and rest.startswith("[") and _parse_json_list(rest) is None


def _split_instruction(text: str) -> tuple[str, str]:
    word, _, rest = text.strip().partition(" ")
    name, rest = word.upper(), rest.strip()
    if name not in _INSTRUCTIONS:
        raise Usage(f'unknown instruction "{word}" in --change (one of: {", ".join(_INSTRUCTIONS)})')
    if not rest and name not in _MAY_BE_EMPTY:
        raise Usage(f'--change "{text}": {name} needs a value')
    return name, rest


def _changed(config: RunConfig, name: str, rest: str) -> RunConfig:
    """The configuration after one instruction."""
    env = config.variables
    match name:
        case "CMD":
            return replace(config, cmd=_parse_command(config, rest))
        case "ENTRYPOINT":
            return replace(config, entrypoint=_parse_command(config, rest))
        case "ENV":
            variables = env | dict(_parse_pairs(rest, env))
            return replace(config, env=tuple(f"{key}={value}" for key, value in variables.items()))
        case "EXPOSE":
            ports = set(config.exposed_ports)
            for word in _words(rest, env):
                ports.update(_parse_ports(word))
            return replace(config, exposed_ports=tuple(sorted(ports)))
        case "LABEL":
            labels = dict(_parse_pairs(rest, env))
            return replace(config, labels={**config.labels, **labels})
        case "ONBUILD":
            return replace(config, on_build=(*(config.on_build or ()), rest))
        case "STOPSIGNAL":
            return replace(config, stop_signal=_one(name, rest, env))
        case "USER":
            return replace(config, user=_one(name, rest, env))
        case "VOLUME":
            volumes = _parse_json_list(rest) or tuple(_words(rest, env))
            return replace(config, volumes=tuple(sorted({*config.volumes, *volumes})))
        case _:  # WORKDIR
            path = posixpath.join(config.working_dir or "/", _one(name, rest, env))
            return replace(config, working_dir=posixpath.normpath(path))


def _parse_command(config: RunConfig, rest: str) -> tuple[str, ...] | None:
    """A command in JSON form, or a line for the image's shell; None to unset it."""
    words = _parse_json_list(rest or "[]")
    line = (*(config.shell or SHELL), rest)
    return line if words is None else words or None


def _parse_json_list(text: str) -> tuple[str, ...] | None:
    """A list of strings; None if the text is something else, as a build reads it."""
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(found) if all(isinstance(one, str) for one in found) else None


def _parse_pairs(rest: str, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """``NAME=VALUE`` words, or the older form: a name, and the rest of the line as its value."""
    name = _NAME.match(rest)
    if name:
        yield name[0], "".join(_words(rest[name.end() :].strip(), env, split=False))
        return
    for word in _words(rest, env):
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise Usage(f'--change: "{word}" is not NAME=VALUE')
        yield key, value


def _one(name: str, rest: str, env: Mapping[str, str]) -> str:
    words = list(_words(rest, env))
    if len(words) != 1:
        raise Usage(f"--change: {name} takes one value, not {len(words)}: {rest}")
    return words[0]


def _words(text: str, env: Mapping[str, str], *, split: bool = True) -> Iterator[str]:
    """The words of a line, without quotes and backslashes, with variables expanded except between single quotes."""
    word: list[str] = []
    quote, position, last = "", 0, text.rfind("}")
    while position < len(text):
        read = character = text[position]
        position += 1
        if character == quote:
            read = quote = ""
        elif not quote and character in "\"'":
            read, quote = "", character
        elif quote != "'" and character == "\\" and position < len(text):
            read = text[position]
            position += 1
            if quote and read not in '"\\$':
                read = character + read
        elif quote != "'" and character == "$" and (found := _variable(text, position - 1, last)):
            read = _expanded(found, env)
            position = found.end()
        elif not quote and split and character.isspace():
            if word:
                yield "".join(word)
            word = []
            continue
        word.append(read)
    if quote:
        raise Usage(f"--change: no closing {quote} in {text}")
    if word:
        yield "".join(word)


def _variable(text: str, position: int, last: int) -> re.Match[str] | None:
    """The variable there, if there is one; ``last`` is where the last brace closes, after which none need be sought."""
    return None if position > last and text.startswith("${", position) else _VARIABLE.match(text, position)


def _expanded(found: re.Match[str], env: Mapping[str, str]) -> str:
    value = env.get(found[1] or found[2], "")
    if found[3] == "-":
        return value or found[4]
    if found[3] == "+":
        return found[4] if value else ""
    return value


def _parse_ports(word: str) -> Iterator[str]:
    match = _PORT.fullmatch(word)
    if match is None:
        raise Usage(f'--change: invalid port "{word}": expected PORT[-PORT][/tcp|/udp|/sctp]')
    first, last = int(match[1]), int(match[2] or match[1])
    if not 0 < first <= last <= 65535:
        raise Usage(f'--change: invalid range of ports "{word}"')
    protocol = (match[3] or "tcp").lower()
    for port in range(first, last + 1):
        yield f"{port}/{protocol}"
