"""The table of docs/signatures.md: every attack on every target, and why it is refused.

``python -m tests.trust.attack_table`` writes it.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from tests.trust.attacked import refused
from tests.trust.attacks import ATTACKS


def shown(reason: str) -> str:
    """A reason as the table has it: digests and places of this run left out."""
    reason = re.sub(r"(sha(?:256|512)):[0-9a-f]+", r"\1:…", reason)
    reason = re.sub(r"^.*?origin record sha256:…: ", "", reason)
    reason = re.sub(r"\b[0-9]{5,}\b", "…", reason)
    reason = re.sub(r"\b[0-9]+ bytes", "… bytes", reason)
    reason = re.sub(r"more than [0-9]+", "more than …", reason)
    reason = re.sub(r"broken gzip stream \(.*\) within", "broken gzip stream within", reason)
    reason = re.sub(r"read [0-9]+", "read …", reason)
    reason = re.sub(r"at byte [0-9]+", "at byte …", reason)
    return re.sub(rf"{re.escape(gettempdir())}/[^ :]+/", "", reason).replace("|", "\\|").partition("; ")[0]


def table() -> str:
    """Every attack on every target, and why it is refused."""
    lines = ["| attack | on | refused, for |", "|---|---|---|"]
    for attack in ATTACKS:
        for made in attack.reasons:
            with TemporaryDirectory() as folder:
                lines.append(f"| {attack.name} | {made} | {shown(refused(attack, made, Path(folder)))} |")
    return "\n".join(lines) + "\n"


DOCUMENT = Path(__file__).parents[2] / "docs" / "signatures.md"
START, END = "<!-- attacks -->\n", "<!-- /attacks -->\n"

if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text().partition(START)
    DOCUMENT.write_text(before + START + table() + END + rest.partition(END)[2])
