"""A conversion that dies by SIGKILL at each call that changes the disk, and what it leaves to the next one.

``python -m tests.stores.crashing_targets TARGET FOLDER THERE`` prints how many moments it died at.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.stores.crashing import dying
from tests.stores.disk_targets import TARGETS, Target, before_and_after, is_whole, make_image, temporaries
from tests.stores.test_contract import CHANGING
from tests.stores.unpacking import listed


def main(name: str, folder: Path, there: bool) -> None:
    target = next(target for target in TARGETS if str(target) == name)
    old, new, initial, out = (folder / name for name in ("old", "new", "initial", "out"))
    for number, path in enumerate((old, new)):
        make_image(number, path)
    before, complete = before_and_after(target, there, (old, new), initial, out)
    moment = 0
    while True:
        shutil.rmtree(out)
        shutil.copytree(initial, out, symlinks=True)
        if not dies(target, new, out, moment):
            break
        found = listed(out)
        begun = temporaries(found)
        # A file that has its name may still have that of the temporary one too.
        kept = {name: (*seen[:4], 1 if begun else seen[4]) for name, seen in found.items() if name not in begun}
        assert is_whole(kept, before, complete), moment
        moment += 1
        if found == before:
            continue
        if target.unpacked and b"x" in found:
            shutil.rmtree(out / "x")
        target.write(new, out)
        assert listed(out) == complete, moment
    assert listed(out) == complete
    print(moment)


def dies(target: Target, image: Path, out: Path, moment: int) -> bool:
    """Convert in a child that is killed at that call; False when it had come to its end before."""
    child = os.fork()
    if child == 0:
        for call in (*CHANGING, "unlink", "rmdir"):
            setattr(os, call, dying(getattr(os, call), moment))
        target.write(image, out)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "1")
