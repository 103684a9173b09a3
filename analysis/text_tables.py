"""Tables for a manuscript: Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["to_latex", "to_markdown"]

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "±": r"$\pm$", "−": r"$-$", "–": "--", "²": r"$^2$", "³": r"$^3$", "<": r"$<$", ">": r"$>$", "\u2009": r"\,",
}  # fmt: skip


def to_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A pipe table; the first column is aligned left, the others right."""
    lines = [list(header), ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def to_latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A ``tabular`` with booktabs' rules, special characters escaped."""
    body = "".join(" & ".join(map(_escape, row)) + " \\\\\n" for row in rows)
    columns = "l" + "r" * (len(header) - 1)
    top = " & ".join(map(_escape, header))
    return f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{top} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"


def _escape(cell: str) -> str:
    return "".join(_LATEX.get(character, character) for character in cell)
