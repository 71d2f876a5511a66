"""The instruction of a build that made each layer, as its author wrote it."""

from __future__ import annotations

import re

from converter.model.image import Image

_NOP = re.compile(r"/bin/sh -c #\(nop\)\s*")
_SHELL = re.compile(r"(?:RUN )?(?:\|\d+ .*? )?/bin/sh -c ", re.DOTALL)
_DIGEST = re.compile(r"\b(file|dir|multi):([0-9a-f]{12})[0-9a-f]{52}\b")
_BUILDKIT = re.compile(r"\s*# buildkit$")


def instructions(image: Image) -> list[str]:
    """One per layer, base first; empty where the history says nothing, or something else than the layers do."""
    steps = [step for step in image.history if not step.empty_layer]
    if len(steps) != len(image.layers):
        return [""] * len(image.layers)
    return [instruction(step.created_by) or step.comment for step in steps]


def instruction(created_by: str) -> str:
    """A step of the history without what builders put around it."""
    found = _BUILDKIT.sub("", created_by.strip())
    if match := _NOP.match(found):
        found = found[match.end() :]
    elif match := _SHELL.match(found):
        found = f"RUN {found[match.end() :]}"
    return " ".join(_DIGEST.sub(r"\1:\2…", found).split())
