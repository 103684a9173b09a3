"""Other tools that can label a fused study: how each is called, and what its numbers mean.

A tool is a program that reads NIfTI images, one for each contrast that it needs, and
writes one NIfTI label map on the same grid. Tools that are not listed are described in
a YAML file with the same keys.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import string
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from operators.core.contrast import Contrast
from operators.core.errors import UsageError
from operators.core.known_segmenters import KNOWN_SEGMENTERS
from operators.core.label_schemes import load_scheme

__all__ = ["Segmenter", "load_segmenter", "model_digest", "segmenter_names"]

_OF_A_SHELL = {"|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1"}
_PLACES = {"input", "images", "output", "folder", "model", "python"}


@dataclass(frozen=True)
class Segmenter:
    """A tool of another maker.

    Attributes
    ----------
    name : str
    command : str
        Split into words as a shell does, but run without a shell. In a file, a word that begins with ``./`` is a path
        in the file's folder. ``{input}`` is the path of the (first) image,
        ``{images}`` the folder that holds only the images, ``{output}`` the path of the label map to write,
        ``{folder}`` the folder to write to, ``{model}`` what ``--segmenter-model`` names, and ``{python}`` the
        interpreter that runs SarcoMAP.
    scheme : str
        Name of a scheme, or a file: what its numbers mean.
    version : str
        A command that prints the tool's version; empty when it has none.
    package : str
        The tool's Python package, whose version is recorded where ``version`` is empty. The interpreter that the
        program's first line names is asked for it.
    writes : str
        Pattern of the label map's name in ``{folder}``, for a tool that chooses the name itself.
    reads : str
        Name of the image. With ``{channel}``, which becomes 0000, 0001 and so on, there is one for each contrast.
    contrast : str
        The fused images that it reads, separated by blanks, in the order of its channels.
    without_gpu : str
        Words that are added to the command on a machine without a CUDA device.
    source : str
        Where its command line is documented.
    model : Path or None
        What ``{model}`` stands for.

    Raises
    ------
    UsageError
        For a command without an image, with an unknown place or a shell's sign, or that is no list of words.
    """

    name: str
    command: str
    scheme: str
    version: str = ""
    package: str = ""
    writes: str = "labels.nii.gz"
    reads: str = "image.nii.gz"
    contrast: str = Contrast.WATER.value
    without_gpu: str = ""
    source: str = ""
    model: Path | None = None

    def __post_init__(self) -> None:
        try:
            fields_of = [one[1:] for one in string.Formatter().parse(self.command) if one[1] is not None]
            words = [*shlex.split(self.command), *shlex.split(self.without_gpu), *shlex.split(self.version)]
        except ValueError as error:
            raise self._unusable(f"a command that cannot be read ({error})") from error
        places = {str(place) for place, _, _ in fields_of}
        if any(form or conversion for _, form, conversion in fields_of):
            raise self._unusable("a command with a place that is more than a name, such as {input:>9}")
        if not shlex.split(self.command) or not places & {"input", "images"} or places - _PLACES:
            raise self._unusable(f"a command with the places {', '.join(sorted(places)) or 'none'}")
        if any("\0" in word for word in words):
            raise self._unusable("a command with a null byte")
        if ours := [word for word in words if word in _OF_A_SHELL]:
            raise self._unusable(f"a command with {' and '.join(ours)}, which only a shell knows: write a script")
        try:
            contrasts = self.contrasts
        except ValueError:
            raise self._unusable(f"contrast {self.contrast}") from None
        if not contrasts or len(set(contrasts)) < len(contrasts):
            raise self._unusable(f"contrast {self.contrast!r}")
        if not self.reads.endswith(".nii.gz") or "/" in self.reads:
            raise self._unusable(f"reads: {self.reads}")
        if not self.writes or {"", ".."} & set(self.writes.split("/")):
            raise self._unusable(f"writes: {self.writes or 'nothing'}")
        if len(contrasts) > 1 and "{channel}" not in self.reads:
            raise self._unusable(f"{len(contrasts)} contrasts and the one image {self.reads}")

    @property
    def program(self) -> str:
        """The program that must be installed."""
        return self.words()[0]

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """The fused images that it reads, in the order of its channels."""
        return tuple(Contrast(name) for name in self.contrast.split())

    @property
    def needs_model(self) -> bool:
        """Whether its command names a model that the user must give."""
        return "{model}" in self.command

    def image_names(self) -> tuple[str, ...]:
        """The names of the images, in the order of `contrasts`."""
        return tuple(self.reads.replace("{channel}", f"{n:04d}") for n in range(len(self.contrasts)))

    def words(self, *, gpu: bool = True, **places: Path) -> list[str]:
        """The command's words with the places filled in; a place that is not given stays as it is."""
        known = {"python": sys.executable, "model": "" if self.model is None else str(self.model.resolve())}
        filled = {place: f"{{{place}}}" for place in _PLACES} | known | {name: str(p) for name, p in places.items()}
        words = [word.format(**filled) for word in _split(self.command)]
        return words + ([] if gpu else shlex.split(self.without_gpu))

    def version_words(self) -> list[str]:
        """The words of its version command; none when it has none."""
        return [word.replace("{python}", sys.executable) for word in _split(self.version)]

    def _unusable(self, found: str) -> UsageError:
        expected = (
            "a program with {input} or {images} and {output} or {folder}; a contrast of in, opp, water or fat, or "
            "several with {channel} in `reads`, which ends in .nii.gz; a name in {folder} for `writes`"
        )
        return UsageError(
            f"segmenter {self.name}", found, expected, "Correct its description; see docs/inference-tools.md."
        )


def segmenter_names() -> tuple[str, ...]:
    """The tools that are known by name."""
    return tuple(KNOWN_SEGMENTERS)


def load_segmenter(name: str, model: Path | None = None, scheme: str | None = None) -> Segmenter:
    """A tool by its name, or by the YAML file that describes it.

    Parameters
    ----------
    name : str
    model : Path, optional
        The file or folder that the tool's command calls ``{model}``.
    scheme : str, optional
        What its numbers mean, in place of the scheme of its description.

    Raises
    ------
    UsageError
        When neither is found, the description cannot be used, or a model is missing or not wanted.
    """
    tool = Segmenter(name, **KNOWN_SEGMENTERS[name]) if name in KNOWN_SEGMENTERS else _described(name)
    _check_model(tool, model)
    tool = replace(tool, model=model)
    if name == "nnunet" and model is not None:
        from operators.core.nnunet_model import of_nnunet

        tool = of_nnunet(tool, model)
    if name == "onnx" and model is not None:
        from operators.core.onnx_description import of_onnx

        tool = of_onnx(tool, model)
    tool = tool if scheme is None else replace(tool, scheme=scheme)
    load_scheme(tool.scheme)
    return tool


def model_digest(model: Path) -> str:
    """SHA-256 of a tool's model: of the file and its description, or of all that lies in the folder, with the names."""
    files = sorted(model.rglob("*")) if model.is_dir() else sorted(model.parent.glob(f"{model.stem}.*"))
    digest = hashlib.sha256()
    for file in files:
        if file.is_file() and not {".git", "__pycache__"} & set(file.parts):
            digest.update(file.relative_to(model.parent).as_posix().encode() + b"\0")
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _check_model(tool: Segmenter, model: Path | None) -> None:
    if tool.needs_model and model is None:
        raise UsageError(
            f"--segmenter {tool.name}",
            "no --segmenter-model",
            "the model, file or folder that this tool needs (docs/inference-tools.md says which)",
            "Add --segmenter-model PATH.",
        )
    if not tool.needs_model and model is not None:
        raise UsageError("--segmenter-model", f"given with {tool.name}, which takes none", "no model", "Leave it out.")
    if model is not None and not model.exists():
        raise UsageError("--segmenter-model", f"no file or folder {model.name}", "the tool's model", "Check the path.")


def _described(name: str) -> Segmenter:
    path = Path(name)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        raise UsageError(
            "--segmenter",
            name,
            f"{', '.join(segmenter_names())}, or a .yaml file that describes a tool",
            "Choose one of them.",
        )
    facts = _read(path)
    keys = {field.name for field in fields(Segmenter)} - {"model"}
    wrong = sorted(set(map(str, facts)) - keys) + [key for key in ("name", "command", "scheme") if key not in facts]
    if wrong or not all(isinstance(value, str) for value in facts.values()):
        found = f"unknown or missing keys: {', '.join(wrong)}" if wrong else "values that are not text"
        raise UsageError(
            path.name, found, f"text for keys among {', '.join(sorted(keys))}", "See docs/inference-tools.md."
        )
    scheme = path.parent / facts["scheme"]
    told: dict[str, Any] = {**facts, "scheme": str(scheme) if scheme.is_file() else facts["scheme"]}
    here = str(path.parent.absolute())
    places = {"command": here.replace("{", "{{").replace("}", "}}"), "version": here, "without_gpu": here}
    told |= {key: _from_here(told[key], folder) for key, folder in places.items() if key in told}
    return Segmenter(**told)


def _from_here(command: str, folder: str) -> str:
    """A command whose words that begin with ``./`` are paths in the folder of its description."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command  # refused with the reason where it is used
    return shlex.join(f"{folder}{word[1:]}" if word.startswith("./") else word for word in words)


def _split(command: str) -> list[str]:
    """A command's words. It runs in a folder of its own, where a program's path from here would lead nowhere."""
    words = shlex.split(command)
    return [
        os.path.abspath(word) if n == 0 and "/" in word and "{" not in word else word for n, word in enumerate(words)
    ]


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    from operators.core.yaml_files import load_yaml

    try:
        facts = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        found = f"not readable ({' '.join(str(error).split())})"
        raise UsageError(path.name, found, "a YAML file with each key once", "Correct it.") from error
    if not isinstance(facts, dict):
        raise UsageError(path.name, "no keys", "a description of a tool", "See docs/inference-tools.md.")
    return facts
