"""Refusal of options that a training's configs do not have.

MONAI takes any option of ``python -m monai.bundle run`` as a new key of the
config, so ``--learing_rate 1e-3`` would train for days at the default rate.
"""

from __future__ import annotations

import ast
import difflib
import functools
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

from bundle.scripts.config_keys import LayeredConfigs
from operators.core.errors import UsageError

__all__ = ["refuse_unknown_keys"]

_CONFIGS = Path(__file__).resolve().parent.parent / "configs"

_OPTION = re.compile("--|-[A-Za-z]")
_LEVEL = re.compile("#|::")
_OWN_OPTIONS = {
    name
    for called in (monai.bundle.run, monai.bundle.create_workflow, ConfigWorkflow)  # each hands the rest to the next
    for name, parameter in inspect.signature(called).parameters.items()
    if parameter.kind is not inspect.Parameter.VAR_KEYWORD
}
_RUN_BY_MONAI = {"imports", "initialize", "run", "finalize"}
"""Keys that MONAI runs where a config has them."""
_OPTIONS_THAT_NAME_KEYS = ("init_id", "run_id", "final_id")


def refuse_unknown_keys(arguments: Sequence[str] | None = None) -> None:
    """Refuse options of ``monai.bundle run``, and keys of the configs after the first, that nothing reads.

    A new key is accepted where something may read it: another key refers to it, it is an argument of the component
    that it stands in, it stands in what a component gets as a whole, or experiment tracking or MONAI itself reads it.
    A config may have top-level keys of those that come with the bundle, because a config for training is given with
    `inference.yaml` too. Nothing is checked when the configs are run from Python, where there is no command line.

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
    first, *others = _names(files)
    layers = LayeredConfigs(ConfigParser.load_config_file(first))
    for other in others:
        layers.lay(ConfigParser.load_config_file(other), Path(other).name)
    in_files = set(layers.content)
    options = {name: value for name, value in given.items() if name not in _OWN_OPTIONS}
    layers.lay({name: _value(value) for name, value in options.items()})
    read = {*_RUN_BY_MONAI, *(given.get(option) for option in _OPTIONS_THAT_NAME_KEYS)}
    read |= _tracking_keys(given.get("tracking"))
    new = {key.path[-1] for key in layers.added}
    for key in layers.added:
        if key.path[0] in read or (len(key.path) == 1 and key.name in in_files and key.name in _shipped_keys()):
            continue
        known = layers.readable(key)
        if known is None:
            continue
        prefix = "".join(f"{name}#" for name in key.path[:-1])
        is_option = key.origin.startswith("option ")
        near = difflib.get_close_matches(key.path[-1], set(known) - new, n=1)
        dashes = "--" if is_option else ""
        raise UsageError(
            key.origin if is_option else f"{key.origin}, key {key.name}",
            "no key of the configs given with --config_file" if is_option else "nothing reads it in these configs",
            f"{dashes}{prefix}{near[0]}" if near else f"a key of {prefix.rstrip('#') or 'these configs'}",
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


def _value(text: Any) -> Any:
    """A list, mapping or number that is written as text, as Fire reads it; anything else as it is."""
    try:
        return ast.literal_eval(text) if isinstance(text, str) else text
    except (ValueError, SyntaxError):
        return text


@functools.cache
def _shipped_keys() -> set[str]:
    """Top-level keys of the configs that come with the bundle."""
    files = sorted(_CONFIGS.rglob("*.yaml"))
    return {_LEVEL.split(key)[0] for file in files for key in ConfigParser.load_config_file(file)}


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
