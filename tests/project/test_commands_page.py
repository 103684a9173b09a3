"""docs/commands.md: every command is on it, and every option, variable and module that it names exists."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from sarcomap.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## sarcomap (\w+)\n(.*?)(?=^## )", PAGE, flags=re.M | re.S))
FLAG = re.compile(r"(?<![\w-])(--?[a-z][a-z0-9-]*)")


@cache
def help_of(*command: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert main([*command, "--help"]) == 0
    return shown.getvalue()


def subcommands(name: str) -> list[str]:
    return re.findall(r"^  ([a-z-]+) ", help_of(name).partition("Commands:")[2].partition("\n\n")[0], flags=re.M)


def test_every_command_has_its_section() -> None:
    assert list(SECTIONS) == list(COMMANDS)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_subcommand_and_flag_of_a_section_exists(name: str) -> None:
    text = SECTIONS[name]
    below = subcommands(name)
    shown = help_of(name) + "".join(help_of(name, one) for one in below)
    for one in below:
        assert f"`{one}`" in text
    for flag in FLAG.findall(" ".join(re.findall(r"`([^`\n]+)`", text))):
        assert re.search(rf"{flag}(?![\w-])", shown), f"{flag} is no option of sarcomap {name}"


def test_every_example_names_a_command_with_the_flags_that_it_has() -> None:
    lines = re.findall(r"^sarcomap .*$", PAGE, flags=re.M)
    assert len(lines) > 12
    for line in lines:
        words = line.split()[1:]
        if words[0].startswith("-"):
            continue
        command = words[:2] if words[1:] and words[1] in subcommands(words[0]) else words[:1]
        for flag in FLAG.findall(re.sub(r'"[^"]*"', "", line.partition("sarcomap ")[2])):
            assert re.search(rf"{flag}(?![\w-])", help_of(*command)), f"{flag} in: {line}"


@pytest.mark.parametrize("command", [(name, *below) for name in COMMANDS for below in [(), *zip(subcommands(name))]])
def test_help_shows_examples_and_values_on_whole_lines(command: tuple[str, ...]) -> None:
    lines = help_of(*command).splitlines()
    broken = [line for line in lines if line.endswith("-")]
    _, _, examples = help_of(*command).partition("\nExamples")
    broken += [line for line in examples.splitlines()[1:] if line and not line.startswith("  ")]
    assert not broken


def test_every_variable_and_module_exists() -> None:
    code = subprocess.run(
        ["git", "-C", str(ROOT), "grep", "-hoE", r"\b(SARCOMAP|HOLOSCAN|XDG|OMP)_[A-Z_]+", "--", "*.py"],
        capture_output=True,
        text=True,
    )
    if code.returncode != 0:
        pytest.skip("not a git checkout: the tracked files are not known")
    made = {
        "SARCOMAP_DICOMWEB_TOKEN",
        "SARCOMAP_DICOMWEB_USER",
        "SARCOMAP_DICOMWEB_PASSWORD",
    }  # of a prefix, in login.py
    named = set(re.findall(r"`((?:SARCOMAP|HOLOSCAN|XDG|OMP)_[A-Z_]+)`", PAGE))
    assert len(named) > 8 and named <= {*code.stdout.split(), *made}
    for module in re.findall(r"^\| `python -m ([\w.]+)`", PAGE, flags=re.M):
        assert (ROOT / module.replace(".", "/") / "__main__.py").is_file()
