"""Make the configs of a released bundle from those of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser
from monai.bundle.reference_resolver import ReferenceResolver

from operators.core.errors import UsageError

__all__ = ["CONFIGS", "inference_settings", "merged_config", "write_config"]

CONFIGS = Path(__file__).resolve().parent.parent / "configs"

_TAKEN = ("images", "channels_out", "network_def", "inferer")
_OPTIONAL = ("interpolate",)
_OF_INFERENCE = frozenset({"network", "device", "bundle_root"})
"""Keys that stay as in `inference.yaml`: training on several GPUs wraps the network and numbers the devices."""

_PER_KEY = frozenset({"mode", "padding_mode", "align_corners", "dtype"})
"""Arguments of MONAI's dictionary transforms that may have one entry per key."""

_PLACES = ("bundle_root", "dataset_dir", "datalist", "ckpt_dir", "output_dir")


def merged_config(files: Sequence[Path], overrides: Mapping[str, Any] | None = None) -> ConfigParser:
    """Merge files and command line arguments as MONAI does, without evaluating the config.

    Folders and the datalist get the values of the shipped `train.yaml`, because
    the location of the training data is private.

    Parameters
    ----------
    files : sequence of Path
        In the order of ``--config_file``.
    overrides : mapping, optional
        Keys set on the training's command line, e.g. ``{"roi": [96, 96, 96], "network_def#hidden_size": 192}``.

    Raises
    ------
    UsageError
        If a file cannot be read, a key cannot be set, or the configs have no network.
    """
    parser = ConfigParser()
    for file in files:
        if not file.is_file():
            raise UsageError(f"--config {file}", "no such file", "a YAML or JSON config of the training", "Check it.")
    try:
        parser.read_config([str(file) for file in files])
        for key, value in (overrides or {}).items():
            parser[key] = value
        parser.resolve_macro_and_relative_ids()
    except Exception as error:  # MONAI and PyYAML raise unrelated types
        raise UsageError(
            "--config and --set",
            f"not usable ({type(error).__name__}: {next(iter(str(error).splitlines()), '')})",
            "configs of bundle/configs, with or without your own overrides",
            "Give the same configs as for the training, in the same order.",
        ) from error
    config = parser.get()
    if missing := [key for key in (*_TAKEN, "read_transforms") if key not in config]:
        raise UsageError(
            "--config",
            f"no {', '.join(missing)}",
            "bundle/configs/train.yaml, then its overrides",
            "Give every --config of the training in order.",
        )
    shipped = yaml.safe_load((CONFIGS / "train.yaml").read_text(encoding="utf-8"))
    for key in _PLACES:
        parser[key] = shipped[key]
    if "start_weights" in config:
        parser["start_weights"] = "???"
    return parser


def inference_settings(trained: ConfigParser) -> dict[str, Any]:
    """Settings that override `inference.yaml`, so that a network gets the same input as in training.

    The transforms are those of ``read_transforms``, which validation uses, if
    they act on the image. Expressions are replaced by their values if these are
    plain, so that the model can be loaded without evaluating its maker's
    expressions (`operators.segmentation.bundle_guard`).

    Parameters
    ----------
    trained : ConfigParser
        From `merged_config`.

    Returns
    -------
    dict
        A config, unevaluated: it may refer to its own keys and to those of `inference.yaml`.
    """
    config = trained.get()
    settings: dict[str, Any] = {
        key: _plain(trained, config[key], key) for key in (*_TAKEN, *_OPTIONAL) if key in config
    }
    steps = (_plain(trained, step, f"read_transforms#{n}") for n, step in enumerate(config["read_transforms"]))
    settings["preprocessing"] = [kept for step in steps if (kept := _for_the_image(step)) is not None]
    waiting = _references(settings)
    while waiting:
        key = waiting.pop()
        if key not in settings and key not in _OF_INFERENCE and key in config:
            settings[key] = _plain(trained, config[key], key)
            waiting |= _references(settings[key])
    return settings


def write_config(path: Path, content: Mapping[str, Any], title: str) -> None:
    """Write a config as YAML below a comment."""
    comment = "".join(f"# {line}\n" for line in title.splitlines())
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=110)
    path.write_text(comment + text, encoding="utf-8")


def _for_the_image(step: Any) -> Any:
    """Restrict a transform of image and label to the image; None if it does not act on the image."""
    if not isinstance(step, Mapping):
        return step
    if str(step.get("_target_", "")).rpartition(".")[2] == "LoadParticipantd":  # the application reads images itself
        return None
    keys = [step["keys"]] if isinstance(step.get("keys"), str) else list(step.get("keys", ()))
    if "image" not in keys:
        return None
    place = keys.index("image")
    kept = {
        name: value[place] if name in _PER_KEY and isinstance(value, list) and len(value) == len(keys) else value
        for name, value in step.items()
    }
    return kept | {"keys": "image"}


def _plain(parser: ConfigParser, value: Any, name: str) -> Any:
    """Replace the expressions in ``value`` by their results, if these are plain values."""
    if isinstance(value, Mapping):
        return {key: _plain(parser, item, f"{name}#{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(parser, item, f"{name}#{number}") for number, item in enumerate(value)]
    if isinstance(value, str) and value.startswith("$"):
        try:
            found = parser.get_parsed_content(name)
        except Exception:  # unchanged: the user who loads the bundle decides
            return value
        return found if _is_plain(found) else value
    return value


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _references(value: Any) -> set[str]:
    """Top-level keys that a config's strings refer to."""
    if isinstance(value, Mapping):
        return set().union(*(_references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(_references(item) for item in value))
    if isinstance(value, str):
        return {name.split("::")[0] for name in ReferenceResolver.match_refs_pattern(value)}
    return set()
