"""Makes docs/pictures: a report in Chromium, and a terminal, each from a real run (bin/pictures)."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

from tests.interop.browser import browser
from tests.interop.images import DEBIAN_OPTIONS, MIRROR
from tests.interop.tools import need, run

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs/pictures"
COLUMNS = 80
TERMINAL = [f"COLUMNS={COLUMNS}", "TERM=xterm-256color", f"PYTHONPATH={ROOT}"]
TRANSSHIP = ["env", *TERMINAL, sys.executable, "-P", "-m", "converter"]

_SGR = re.compile(r"\x1b\[([\d;]*)m")
_COLOURS = {"31": "#ff8f85", "32": "#6fd397", "33": "#f0b65c", "34": "#7db2ff", "2": "#9fa9b4"}
_WIDTH, _HEIGHT = 8.43, 19


def main(reference: str | None) -> None:
    """Make all pictures, of this image or of one that is built for it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if reference is None:
            reference = example_image(folder)
            os.chdir(folder)
        report = folder / "report.html"
        transship(["inspect", reference, "--report", str(report), "--quiet"])
        with browser(folder) as chromium:
            chromium.open(report, width=1200)
            layers = chromium.run("document.querySelectorAll('section')[1].getBoundingClientRect().top")
            chromium.picture(PICTURES / "report.png", height=1140, top=layers - 12)
            chromium.open(report, width=390, dark=True)
            chromium.picture(PICTURES / "report-phone.png", height=1180)
        shown = on_terminal(["inspect", reference, "--contents"])
        (PICTURES / "terminal.svg").write_text(svg(f"transship inspect {reference} --contents", shown))


DOCKERFILE = """\
FROM scratch
ADD base.tar /
RUN apt-get update && apt-get install -y --no-install-recommends curl
COPY app.sh /srv/app/app.sh
RUN rm -rf /var/lib/apt/lists/* /var/cache/apt/*
USER 1000
CMD ["sh", "/srv/app/app.sh"]
"""
"""An image as people build it: what the third layer removes stays in the second. It needs root, and Debian's mirror."""


def example_image(folder: Path) -> str:
    """Build that image with buildah; returns its reference, as seen from the folder."""
    need("mmdebstrap", "buildah")
    context = folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "app.sh").write_text("curl --version\n")
    run("mmdebstrap", "--quiet", "--variant=minbase", *DEBIAN_OPTIONS, "stable", context / "base.tar", MIRROR)
    storage = ("--storage-driver", "vfs", "--root", folder / "store", "--runroot", folder / "run")
    # As little as possible of what a sandbox may not allow.
    how = ("--isolation", "chroot", "--network", "host", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")
    run("buildah", *storage, "bud", *how, "--layers", "--tag", f"oci:{folder}/app:example/app:1", context)
    return "oci:app"


def transship(arguments: list[str]) -> None:
    """Run this checkout's transship."""
    subprocess.run([*TRANSSHIP, *arguments], check=True, stdout=subprocess.DEVNULL)


def on_terminal(arguments: list[str]) -> str:
    """What a command writes to a terminal of 80 columns, with its colours."""
    leader, follower = pty.openpty()
    with subprocess.Popen([*TRANSSHIP, *arguments], stdout=follower, stderr=subprocess.DEVNULL) as process:
        os.close(follower)
        read = bytearray()
        while True:
            try:
                data = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            read += data
        process.wait()
    os.close(leader)
    return read.decode().replace("\r\n", "\n")


def svg(command: str, text: str) -> str:
    """A terminal as a drawing: text that can be selected, wrapped at the terminal's width."""
    lines = [f"\x1b[32m$\x1b[0m {command}"]
    for line in text.rstrip("\n").split("\n"):
        lines += wrapped(line)
    height = (len(lines) + 1) * _HEIGHT + 16
    width = round(COLUMNS * _WIDTH) + 32
    rows = [f'<text x="16" y="{(number + 1) * _HEIGHT + 8}">{spans(line)}</text>' for number, line in enumerate(lines)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="Output of {escape(command)}">\n'
        "<style>text { fill: #e7eaed; font: 14px ui-monospace, 'DejaVu Sans Mono', Consolas, monospace; "
        "white-space: pre; }</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#121518"/>\n' + "\n".join(rows) + "\n</svg>\n"
    )


def wrapped(line: str) -> list[str]:
    """A line as a terminal wraps it; one with colours is short."""
    if _SGR.search(line) or len(line) <= COLUMNS:
        return [line]
    return [line[start : start + COLUMNS] for start in range(0, len(line), COLUMNS)]


def spans(line: str) -> str:
    """The markup of a line with its colours."""
    pieces = _SGR.split(line)
    found = escape(pieces[0])
    for codes, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        fill = next((f' fill="{_COLOURS[code]}"' for code in codes.split(";") if code in _COLOURS), "")
        bold = ' font-weight="bold"' if "1" in codes.split(";") else ""
        found += f"<tspan{fill}{bold}>{escape(piece)}</tspan>" if fill or bold else escape(piece)
    return found


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
