"""A program that dies by SIGKILL at each of its calls that change the disk, and looks at what it left behind.

``python -m tests.stores.crashing KIND TARGET THERE`` prints how many moments it died at.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from converter.stores.media.temporary import remove_abandoned
from tests.stores.kinds import ON_DISK, Kind
from tests.stores.test_contract import CHANGING, is_whole, read, wanted, write


def main(name: str, target: Path, there: bool) -> None:
    kind = next(kind for kind in ON_DISK if kind.name == name)
    moment = 0
    while dies(kind, target, moment):
        check(kind, target, there)
        moment += 1
    assert read(kind, target, "b:2") == wanted(kind, 1)
    print(moment)


def dies(kind: Kind, target: Path, moment: int) -> bool:
    """Write in a child that is killed at that call; False when it had come to its end before."""
    child = os.fork()
    if child == 0:
        for call in (*CHANGING, "unlink", "rmdir"):
            setattr(os, call, dying(getattr(os, call), moment))
        write(kind, target, 1, "b:2")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


calls = 0


def dying(original: Callable[..., Any], moment: int) -> Callable[..., Any]:
    def call(*arguments: Any, **more: Any) -> Any:
        global calls  # noqa: PLW0603 - one count for all of the child's calls
        calls += 1
        if calls > moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **more)

    return call


def check(kind: Kind, target: Path, there: bool) -> None:
    """The target is as it was, or complete; what else was left is cleaned by the next writer."""
    assert is_whole(kind, target, there)
    remove_abandoned(target.parent)
    assert [path for path in target.parent.iterdir() if path != target] == []


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "1")
