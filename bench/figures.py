"""What was measured, kept in ``bench/figures.json``: a part can be measured again, and the rest stays."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

KEPT = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One route on one image: medians of the runs, and the highest memory of any.

    Times are in seconds, memory and ``unpacked``, the layers' tars, in bytes. ``load`` is how many programs wanted the
    machine meanwhile; None where nobody noted it. ``conditions`` is a sentence for the page.
    """

    shape: str
    route: str
    peer_name: str
    ratio: float
    goal: float | None
    ours: float
    peer: float
    cpu: float
    peer_cpu: float
    rss: int
    peer_rss: int
    size_ratio: float
    floor: float
    unpacked: int
    layers: int
    load: float | None
    conditions: str

    @property
    def aim(self) -> str:
        """The goal, where there is one."""
        return "–" if self.goal is None else f"{self.goal:.2f}"

    @property
    def of_floor(self) -> str:
        """Our wall time over the floor, where there is one."""
        return f"{self.ours / self.floor:.2f}" if self.floor else "–"


def kept(path: Path = KEPT) -> list[Figure]:
    """All figures of the last runs."""
    return [Figure(**row) for row in json.loads(path.read_text())] if path.exists() else []


def keep(figure: Figure, path: Path = KEPT) -> list[Figure]:
    """Keep a figure in the place of that of the same image and route; returns all figures."""
    every = {(one.shape, one.route): one for one in (*kept(path), figure)}
    rows = (json.dumps(asdict(one), ensure_ascii=False) for one in every.values())
    path.write_text("[\n" + ",\n".join(rows) + "\n]\n")
    return list(every.values())
