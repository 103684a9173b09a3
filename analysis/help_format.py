"""Help texts in two columns, a short form of `operators.core.help_format`."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Any

from cyclopts.help.formatters.plain import PlainFormatter, _to_plain_text

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry
    from rich.console import Console, ConsoleOptions

__all__ = ["TwoColumns"]

_LEFT = 30


class TwoColumns(PlainFormatter):
    """Flags on the left and their explanations on the right, filled to the width of the terminal."""

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Fill each paragraph."""
        for paragraph in _to_plain_text(description, console).split("\n\n"):
            self._print_plain(console, textwrap.fill(" ".join(paragraph.split()), _width()) + "\n")

    def _print_plain(self, console: Console, text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _format_parameter_entry(self, options: tuple[str, ...], desc: str, console: Console, entry: HelpEntry) -> None:
        choices = f"One of {', '.join(entry.choices)}." if entry.choices else ""
        default = "" if entry.default is None else f"Default: {entry.default}."
        said = f"{desc} {choices} {default} {'Required.' if entry.required else ''}"
        self._format_command_entry(options, (), said, console)

    def _format_command_entry(
        self, names: tuple[str, ...], shorts: tuple[str, ...], desc: str, console: Console
    ) -> None:
        left = f"  {', '.join((*names, *shorts))}"
        lines = textwrap.wrap(" ".join(desc.split()), _width() - _LEFT, break_on_hyphens=False)
        if len(left) > _LEFT - 2:
            lines.insert(0, "")
        for line in lines:
            self._print_plain(console, f"{left:{_LEFT}}{line}".rstrip())
            left = ""


def _width() -> int:
    return min(shutil.get_terminal_size((100, 24)).columns, 110)
