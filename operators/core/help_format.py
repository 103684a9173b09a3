"""Help texts in two plain columns, as command lines usually show them."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Any

from cyclopts.help.formatters.plain import PlainFormatter, _to_plain_text

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry
    from rich.console import Console, ConsoleOptions

__all__ = ["TwoColumns"]

_LEFT = 26
_WIDEST = 110


class TwoColumns(PlainFormatter):
    """Flags on the left, their descriptions on the right, wrapped to the width of the terminal."""

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Wrap each paragraph."""
        text = _to_plain_text(description, console)
        for paragraph in text.strip().split("\n\n"):
            self._print_plain(console, textwrap.fill(" ".join(paragraph.split()), _width()) + "\n")

    def _print_plain(self, console: Console, text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _format_parameter_entry(self, options: tuple[str, ...], desc: str, console: Console, entry: HelpEntry) -> None:
        said = [" ".join(desc.split())]
        if entry.choices:
            said.append(f"One of {', '.join(entry.choices)}.")
        if entry.default is not None:
            said.append(f"Default: {entry.default}.")
        if entry.env_var:
            said.append(f"Environment: {', '.join(entry.env_var)}.")
        if entry.required:
            said.append("Required.")
        self._entry(console, ", ".join(options), " ".join(part for part in said if part))

    def _format_command_entry(
        self, names: tuple[str, ...], shorts: tuple[str, ...], desc: str, console: Console
    ) -> None:
        self._entry(console, ", ".join((*names, *shorts)), " ".join(desc.split()))

    def _entry(self, console: Console, left: str, right: str) -> None:
        lines = textwrap.wrap(right, _width() - _LEFT, break_on_hyphens=False) or [""]
        first = f"{self.indent}{left}"
        if len(first) > _LEFT - 2:
            self._print_plain(console, first)
        else:
            self._print_plain(console, f"{first:{_LEFT}}{lines.pop(0)}")
        for line in lines:
            self._print_plain(console, f"{'':{_LEFT}}{line}")


def _width() -> int:
    return min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
