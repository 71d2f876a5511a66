"""Instructions that change how a container is started, as in ``docker import --change`` (Dockerfile reference).

An instruction is one line of a Dockerfile. Variables of the image's environment are expanded where a build does so.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from converter.errors import Usage
from converter.model.image import Image, RunConfig
from converter.model.platform import Platform

SHELL = ("/bin/sh", "-c")

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})")
_NAME = re.compile(r"[^\s=\"']+")
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def apply_changes(image: Image, instructions: Iterable[str]) -> Image:
    """The image after the instructions, in their order; the same if there are none. Raises Usage for a wrong one."""
    config, commanded = image.config, False
    for text in instructions:
        name, rest = _split_instruction(text)
        config = _INSTRUCTIONS[name](config, rest)
        if name == "CMD":
            commanded = True
        elif name == "ENTRYPOINT" and not commanded:
            # A command given for another program would be its arguments.
            config = replace(config, cmd=None)
    return image if config == image.config else replace(image, config=config)


def check_instructions(instructions: Iterable[str]) -> tuple[str, ...]:
    """The instructions, if each can be applied to an image. Raises Usage."""
    found = tuple(instructions)
    apply_changes(Image(platform=Platform(os="", architecture="")), found)
    return found


def is_no_list(instruction: str) -> bool:
    """Whether a command begins as a list, but is none in JSON: as in Docker, it becomes a line for the shell."""
    name, rest = _split_instruction(instruction)
    return name in {"CMD", "ENTRYPOINT"} and rest.startswith("[") and _parse_json_list(rest) is None


def _split_instruction(text: str) -> tuple[str, str]:
    name, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if name.upper() not in _INSTRUCTIONS:
        raise Usage(f'unknown instruction "{name}" in --change (one of: {", ".join(_INSTRUCTIONS)})')
    if not rest and name.upper() not in {"CMD", "ENTRYPOINT"}:
        raise Usage(f'--change "{text}": {name.upper()} needs a value')
    return name.upper(), rest


def _cmd(config: RunConfig, rest: str) -> RunConfig:
    return replace(config, cmd=_parse_command(config, rest))


def _entrypoint(config: RunConfig, rest: str) -> RunConfig:
    return replace(config, entrypoint=_parse_command(config, rest))


def _env(config: RunConfig, rest: str) -> RunConfig:
    env = config.variables
    found = dict(_parse_pairs(rest, env))
    return replace(config, env=tuple(f"{name}={value}" for name, value in (env | found).items()))


def _label(config: RunConfig, rest: str) -> RunConfig:
    return replace(config, labels={**config.labels, **dict(_parse_pairs(rest, config.variables))})


def _expose(config: RunConfig, rest: str) -> RunConfig:
    ports = dict.fromkeys(config.exposed_ports)
    for word in _words(rest, config.variables):
        ports.update(dict.fromkeys(_parse_ports(word)))
    return replace(config, exposed_ports=tuple(sorted(ports)))


def _on_build(config: RunConfig, rest: str) -> RunConfig:
    return replace(config, on_build=(*(config.on_build or ()), rest))


def _stop_signal(config: RunConfig, rest: str) -> RunConfig:
    return replace(config, stop_signal=_one("STOPSIGNAL", rest, config))


def _user(config: RunConfig, rest: str) -> RunConfig:
    return replace(config, user=_one("USER", rest, config))


def _volume(config: RunConfig, rest: str) -> RunConfig:
    words = _parse_json_list(rest) or tuple(_words(rest, config.variables))
    return replace(config, volumes=tuple(sorted({*config.volumes, *words})))


def _working_dir(config: RunConfig, rest: str) -> RunConfig:
    path = _one("WORKDIR", rest, config)
    return replace(config, working_dir=posixpath.normpath(posixpath.join(config.working_dir or "/", path)))


_INSTRUCTIONS: Mapping[str, Callable[[RunConfig, str], RunConfig]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _working_dir,
}


def _parse_command(config: RunConfig, rest: str) -> tuple[str, ...] | None:
    """A command in JSON form, or a line for the image's shell; None to unset it."""
    if rest in {"", "[]"}:
        return None
    return _parse_json_list(rest) or (*(config.shell or SHELL), rest)


def _parse_json_list(text: str) -> tuple[str, ...] | None:
    """A list of strings; None if the text is something else, as a build reads it."""
    try:
        found = json.loads(text) if text.startswith("[") else None
    except ValueError:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return None
    return tuple(found)


def _parse_pairs(rest: str, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """``NAME=VALUE`` words, or the older form: a name, and the rest of the line as its value."""
    name = _NAME.match(rest)
    if name and rest[name.end() : name.end() + 1].isspace():
        yield name[0], "".join(_words(rest[name.end() :].strip(), env, split=False))
        return
    for word in _words(rest, env):
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise Usage(f'--change: "{word}" is not NAME=VALUE')
        yield key, value


def _one(name: str, rest: str, config: RunConfig) -> str:
    words = list(_words(rest, config.variables))
    if len(words) != 1:
        raise Usage(f"--change: {name} takes one value, not {len(words)}: {rest}")
    return words[0]


def _words(text: str, env: Mapping[str, str], *, split: bool = True) -> Iterator[str]:
    """The words of a line, without quotes and backslashes, with variables expanded except between single quotes."""
    word: list[str] = []
    begun, quote, position = False, "", 0
    while position < len(text):
        character = text[position]
        position += 1
        if quote != "'" and character == "\\" and position < len(text):
            following = text[position]
            kept = quote == '"' and following not in '"\\$'
            word.append(character + following if kept else following)
            position, begun = position + 1, True
        elif character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote, begun = character, True
        elif quote != "'" and character == "$" and (found := _VARIABLE.match(text, position - 1)):
            word.append(_expanded(found, env))
            position, begun = found.end(), True
        elif not quote and split and character.isspace():
            if begun:
                yield "".join(word)
            word, begun = [], False
        else:
            word.append(character)
            begun = True
    if quote:
        raise Usage(f"--change: no closing {quote} in {text}")
    if begun:
        yield "".join(word)


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
    yield from (f"{port}/{(match[3] or 'tcp').lower()}" for port in range(first, last + 1))
