"""A report's tables in LaTeX (booktabs): a file that compiles as it is, and whose tables can be pasted."""

import re
from collections.abc import Iterator, Sequence

from segsweep.reports.findings.fields import Findings
from segsweep.reports.writers.text_table import Column, TextCell, TextTable

ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"$<$", ">": r"$>$",
    "±": r"$\pm$", "−": "$-$", "–": "--", "—": "---", "≠": r"$\neq$", "×": r"$\times$", "…": r"\dots{}",
    "→": r"$\to$", "\"": "''",
}  # fmt: skip
PREAMBLE = r"""\documentclass{article}
\usepackage[landscape,margin=1.5cm]{geometry}
\usepackage{booktabs,graphicx}
\pagestyle{empty}
\begin{document}
"""


def latex(report: Findings, tables: Sequence[TextTable]) -> str:
    """Return a document with a table for each protocol."""
    made = f"% {one_line(report.title)}, {report.made}, segsweep {report.segsweep}\n"
    head = f"{made}% {one_line(report.command)}\n"
    return "\n".join([head + PREAMBLE, *(_table(table) for table in tables), "\\end{document}\n"])


def one_line(text: str) -> str:
    """Return text on one line of printable ASCII, for a comment."""
    return re.sub(r"[^ -~]", "?", " ".join(text.split()))


def _table(table: TextTable) -> str:
    lines = [
        r"\begin{table}[ht]",
        r"\centering",
        rf"\caption{{{escaped(table.heading)}: {escaped(table.measured)}. {escaped(table.caption)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{''.join('r' if column.number else 'l' for column in table.columns)}}}",
        r"\toprule",
        *_head(table.columns),
        r"\midrule",
        *(" & ".join(_cell(cell) for cell in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _head(columns: Sequence[Column]) -> Iterator[str]:
    """Yield the headings: the strategies over their columns, then the columns' own names."""
    groups: list[tuple[str | None, int]] = []
    for column in columns:
        if groups and column.strategy is not None and groups[-1][0] == column.strategy:
            groups[-1] = column.strategy, groups[-1][1] + 1
        else:
            groups.append((column.strategy, 1))
    if any(name is not None and width > 1 for name, width in groups):
        names = [
            rf"\multicolumn{{{n}}}{{c}}{{{escaped(name)}}}" if name else " & " * (n - 1) for name, n in groups
        ]
        yield " & ".join(names) + r" \\"
        yield "".join(_rules(groups))
    yield " & ".join(escaped(_own_name(column)) for column in columns) + r" \\"


def _rules(groups: Sequence[tuple[str | None, int]]) -> Iterator[str]:
    first = 1
    for name, width in groups:
        if name is not None:
            yield rf"\cmidrule(lr){{{first}-{first + width - 1}}}"
        first += width


def _own_name(column: Column) -> str:
    """Return a column's name without its strategy, which stands above it."""
    return column.name.removeprefix(column.strategy or "").strip() or "mIoU"


def _cell(cell: TextCell) -> str:
    return rf"\textbf{{{escaped(cell.text)}}}" if cell.bold else escaped(cell.text)


def escaped(text: str) -> str:
    """Return text that LaTeX sets as it stands; letters that its fonts lack become `?`."""
    shown = "".join(ESCAPES.get(letter, letter) for letter in " ".join(text.split()))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in shown)
