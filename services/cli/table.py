"""Tables of the command line. A cell is never cut: not on a narrow terminal, and not in a pipe.

The last column may be free text (`wraps`): on a terminal it wraps beside the others, or goes on lines of its own
where there is no room beside them. Into a pipe every row is one line.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

GAP: Final = "  "
LEAST_BESIDE: Final = 24  # characters: narrower text is no pleasure to read
INDENT: Final = 4


class Table:
    """Print it with `output.console()`. Cells are rich markup; a column whose name begins with `>` is aligned right."""

    def __init__(self, *columns: str, wraps: bool = False) -> None:
        self._right = [name.startswith(">") for name in columns]
        self._names = [name.lstrip(">") for name in columns]
        self._rows: list[list[str]] = []
        self._wraps = wraps

    def add_row(self, *cells: str) -> None:
        assert len(cells) == len(self._names)
        self._rows.append(list(cells))

    def without(self, dropped: set[str]) -> "Table":
        """The same without some columns, by their names."""
        kept = [index for index, name in enumerate(self._names) if name not in dropped]
        table = Table(*((">" if self._right[i] else "") + self._names[i] for i in kept), wraps=self._wraps)
        table._rows = [[row[i] for i in kept] for row in self._rows]
        return table

    @property
    def width(self) -> int:
        """Characters that a row needs on one line."""
        widths = self._widths(self._texts())
        return sum(widths) + len(GAP) * (len(widths) - 1)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Text]":
        rows = self._texts()
        widths = self._widths(rows)
        beside = options.max_width - sum(widths[:-1]) - len(GAP) * (len(widths) - 1)
        for number, row in enumerate(rows):
            if not console.is_terminal or not self._wraps or row[-1].cell_len <= beside:
                yield self._line(row, widths)
            elif number == 0:
                yield self._line(row[:-1], widths[:-1])
            elif beside >= LEAST_BESIDE:
                first, *more = row[-1].wrap(console, beside)
                yield self._line([*row[:-1], first], widths)
                yield from self._indented(more, options.max_width - beside)
            else:
                yield self._line(row[:-1], widths[:-1])
                wrapped = row[-1].wrap(console, max(LEAST_BESIDE, options.max_width - INDENT))
                yield from self._indented(wrapped, INDENT)

    @staticmethod
    def _indented(lines: "Iterable[Text]", indent: int) -> "Iterator[Text]":
        for line in lines:
            line.pad_left(indent)
            line.end = "\n"  # a cell has none, and neither has the only line of one that was wrapped
            yield line

    def _texts(self) -> "list[list[Text]]":
        from rich.text import Text

        head = [Text(name, "bold") for name in self._names]
        return [head, *([Text.from_markup(cell, end="") for cell in row] for row in self._rows)]

    @staticmethod
    def _widths(rows: "list[list[Text]]") -> list[int]:
        return [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]

    def _line(self, row: "list[Text]", widths: list[int]) -> "Text":
        from rich.text import Text

        cells = []
        for cell, width, right in zip(row, widths, self._right, strict=False):
            padded = cell.copy()
            (padded.pad_left if right else padded.pad_right)(width - cell.cell_len)
            cells.append(padded)
        line = Text(GAP).join(cells)
        line.rstrip()
        line.end = "\n"
        return line
