"""A program that dies by SIGKILL at each call that changes the disk while it unpacks, and looks at what it left.

``python -m tests.stores.crashing_rootfs TRANSPORT TARGET`` prints how many moments it died at.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from converter.model import media_types as types
from converter.stores.media.temporary import remove_abandoned, remove_path
from tests.stores.crashing import dying
from tests.stores.unpacking import hard, left, link, listed, sink_at
from tests.strategies.tar import File, archive

CALLS = ("write", "rename", "fsync", "mkdir", "open", "symlink", "link", "mkfifo", "chown", "fchmod", "chmod", "utime")
DATA = archive(
    [
        File("d", "dir", mode=0o750, mtime=1_000_000_000),
        File("d/f", data=b"content", mode=0o4755),
        link("d/l", "/etc"),
        hard("d/h", "d/f"),
        File("d/p", "fifo"),
        File("e/undescribed"),
        File(".", "dir", mode=0o711, mtime=1_000_000_000),
    ]
)


def main(transport: str, target: Path) -> None:
    write(transport, target)
    whole = listed(target)
    remove_path(target)
    moment = 0
    while dies(transport, target, moment):
        assert not target.exists() or listed(target) == whole, moment
        if target.exists():
            remove_path(target)
        remove_abandoned(target.parent)
        assert left(target.parent) == [], moment
        moment += 1
    assert listed(target) == whole
    print(moment)


def dies(transport: str, target: Path, moment: int) -> bool:
    """Unpack in a child that is killed at that call; False when it had come to its end before."""
    child = os.fork()
    if child == 0:
        for call in (*CALLS, "unlink", "rmdir"):
            setattr(os, call, dying(getattr(os, call), moment))
        write(transport, target)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def write(transport: str, target: Path) -> None:
    with sink_at(target, transport) as sink:
        sink.put((DATA,), types.ROOTFS)
        if transport == "bundle":
            sink.put((b"{}",), types.RUNTIME_CONFIG)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
