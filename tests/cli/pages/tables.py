"""The numbers that a page shows: its tiles, and its tables by section."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Cell:
    """The text of a cell, the number that it sorts by, and the texts in it that are code: digests, paths."""

    text: str = ""
    value: str | None = None
    code: list[str] = field(default_factory=list)


@dataclass
class Table:
    """The rows of a table, each by the heads of its columns. A cell that spans rows is in the first of them."""

    heads: list[str] = field(default_factory=list)
    rows: list[dict[str, Cell]] = field(default_factory=list)

    def column(self, head: str) -> list[str]:
        """The texts of a column."""
        return [row[head].text for row in self.rows if head in row]

    def values(self, head: str) -> list[int]:
        """The numbers by which a column sorts."""
        return [int(row[head].value or "") for row in self.rows if head in row]

    def digests(self, head: str) -> list[str]:
        """What is code in a column."""
        return [code for row in self.rows if head in row for code in row[head].code]


class Numbers(HTMLParser):
    """Figures in tiles by what they count, tables by the heading of their section, and all that is code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tiles: dict[str, str] = {}
        self.tables: dict[str, list[Table]] = {}
        self.code: list[str] = []
        self._open: list[str] = []
        self._heading = self._figure = self._tile = self._head = ""
        self._cell: Cell | None = None
        self.feed(page)
        self.close()

    def table(self, heading: str) -> Table:
        """The only table of a section; an empty one if there is none."""
        found = self.tables.get(heading, [Table()])
        assert len(found) == 1
        return found[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"meta", "br", "input"}:
            return
        self._open.append(tag)
        attributes = dict(attrs)
        match tag:
            case "h2":
                self._heading = ""
            case "li":
                self._figure = self._tile = ""
            case "table":
                self.tables.setdefault(self._heading.strip(), []).append(Table())
            case "th":
                self._head = ""
            case "tr" if "tbody" in self._open:
                self._table.rows.append({})
            case "td":
                heads, row = self._table.heads, self._table.rows[-1]
                self._cell = row[heads[len(row)]] = Cell(value=attributes.get("data-value"))
            case "code":
                self.code.append("")
                if self._cell is not None:
                    self._cell.code.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        match tag:
            case "th":
                self._table.heads.append(self._head.strip())
            case "td" if self._cell is not None:
                self._cell.text = " ".join(self._cell.text.split())
                self._cell = None
            case "li" if self._figure:
                self.tiles[self._tile.strip()] = self._figure

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.text += data
        if "code" in self._open:
            self.code[-1] += data
            if self._cell is not None:
                self._cell.code[-1] += data
        if self._open[-1:] == ["h2"]:
            self._heading += data
        elif self._open[-1:] == ["th"]:
            self._head += data
        elif self._open[-2:] == ["li", "b"]:
            self._figure += data
        elif self._open[-1:] == ["li"]:
            self._tile += data

    @property
    def _table(self) -> Table:
        return self.tables[self._heading.strip()][-1]
