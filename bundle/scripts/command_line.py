"""Refusal of options that a training's configs do not have.

MONAI takes any option of ``python -m monai.bundle run`` as a new key of the
config, so ``--learing_rate 1e-3`` would train for days at the default rate.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import monai.bundle
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS

from operators.core.errors import UsageError

__all__ = ["refuse_unknown_keys"]

_OPTION = re.compile("--|-[A-Za-z]")
_LEVEL = re.compile("#|::")
_OWN_OPTIONS = {
    name
    for called in (monai.bundle.run, monai.bundle.create_workflow, ConfigWorkflow)  # each hands the rest to the next
    for name, parameter in inspect.signature(called).parameters.items()
    if parameter.kind is not inspect.Parameter.VAR_KEYWORD
}
_RUN_BY_MONAI = {"initialize", "run", "finalize"}
"""Keys that MONAI runs where a config has them."""


def refuse_unknown_keys(arguments: Sequence[str] | None = None) -> None:
    """Refuse options of ``monai.bundle run`` that are no key of the configs given with it.

    Only the part before the first ``#`` or ``::`` is looked up. Keys that the given experiment tracking or the value
    of another option reads are accepted. Nothing is checked when the configs are run from Python, where there is no
    command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, the program first. Default: this process's.

    Raises
    ------
    UsageError
        For the first unknown key, with the nearest known one.

    Examples
    --------
    >>> refuse_unknown_keys(["a_script.py", "run", "--learing_rate", "1e-3"])  # not MONAI's command line
    """
    words = list(sys.argv if arguments is None else arguments)
    if words[1:2] != ["run"] or Path(words[0]).parts[-2:] != ("bundle", "__main__.py"):
        return
    given = _options(words[2:])
    args_file = given.get("args_file")
    if args_file is not None:  # the command line goes before the file
        given = {**ConfigParser.load_config_file(args_file), **given}
    files = given.get("config_file")
    if files is None:
        return
    known = {*ConfigParser.load_config_files(_names(files)), *_RUN_BY_MONAI, *_tracking_keys(given.get("tracking"))}
    for option in given:
        key = _LEVEL.split(option)[0]
        if key in known or key in _OWN_OPTIONS or key.startswith("_"):
            continue
        if any(re.search(rf"@{re.escape(key)}\b", str(value)) for value in given.values()):
            continue
        near = difflib.get_close_matches(key, sorted(known), n=1)
        raise UsageError(
            f"option --{option}",
            "no key of the configs given with --config_file",
            f"--{near[0]}" if near else "a key of these configs",
            "A key that no config reads changes nothing. Correct its spelling, or leave it out.",
        )


def _options(words: Sequence[str]) -> dict[str, Any]:
    """Options and their texts, as Fire, MONAI's command line, finds them."""
    options: dict[str, Any] = {}
    for word, following in zip_longest(words, words[1:], fillvalue="--"):
        if word == "--":
            break
        if _OPTION.match(word):
            name, equals, value = word.lstrip("-").partition("=")
            name = name.replace("-", "_")
            if equals or not _OPTION.match(following):
                options[name] = value if equals else following
            elif name.startswith("no") and name not in _OWN_OPTIONS:
                options[name[2:]] = False
            else:
                options[name] = True
    return options


def _tracking_keys(tracking: str | dict[str, Any] | None) -> set[str]:
    """The keys that MONAI adds to the configs for experiment tracking: a name, a file or the settings."""
    if tracking is None:
        return set()
    if isinstance(tracking, str) and tracking.startswith("{"):
        tracking = ast.literal_eval(tracking)
    settings: dict[str, Any] = (
        DEFAULT_EXP_MGMT_SETTINGS[tracking]
        if isinstance(tracking, str) and tracking in DEFAULT_EXP_MGMT_SETTINGS
        else ConfigParser.load_config_files(tracking)
    )
    return set(settings.get("configs", {}))


def _names(files: str | Sequence[str]) -> list[str]:
    """Names of config files: of a file of arguments, or as one text with a list such as ``['a.yaml', 'b.yaml']``."""
    if not isinstance(files, str):
        return list(files)
    return [name.strip(" '\"") for name in files.strip("[]() ").split(",") if name.strip()]
