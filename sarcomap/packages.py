"""Which packages are installed, by the extra that needs them, and whether their versions are in SarcoMAP's ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

__all__ = ["Finding", "installed_version", "packages"]

_BASE = "base"
_EXTRAS = ("cpu", "gpu", "deploy", "service", "cohort", "train", "n4", "manuscript", "pdf")
_BACKENDS = frozenset({"onnxruntime", "openvino"})
"""A study is labelled without them, too."""
_SHOWN = {
    "cpu": ("torch", "monai", "pydicom", "highdicom", "numba", "openvino", "onnxruntime"),
    "gpu": ("torch", "onnxruntime-gpu", "numba-cuda"),
    "cohort": ("distributed", "fsspec"),
    "service": ("pynetdicom", "dicomweb-client"),
    "train": ("pytorch-ignite", "tensorboard"),
}


@dataclass(frozen=True)
class Finding:
    """One line of the result.

    Attributes
    ----------
    topic, text : str
    ok : bool or None
        None if nothing can be wrong.
    needed : bool
        Whether `sarcomap run` needs it.
    """

    topic: str
    text: str
    ok: bool | None = None
    needed: bool = False


def packages() -> Iterator[Finding]:
    """One finding for each extra, and one for the base installation if something is wrong with it."""
    try:
        declared = [Requirement(line) for line in requires("sarcomap") or []]
    except PackageNotFoundError:
        text = (
            "SarcoMAP is not installed, so nothing says which packages it needs. Run `pip install -e .` in its folder."
        )
        yield Finding(_BASE, text, False)
        return
    wrong = _trouble(_of(declared, ""))
    if wrong:
        yield Finding(_BASE, f"{'; '.join(wrong.values())}. Install SarcoMAP again.", False, True)
    on_gpu = installed_version("onnxruntime-gpu") is not None
    for extra in _EXTRAS:
        if extra == ("cpu" if on_gpu else "gpu"):
            continue
        yield _extra(extra, _of(declared, extra))


def installed_version(package: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _of(declared: list[Requirement], extra: str) -> list[Requirement]:
    """What an extra needs here, the base left out; without an extra, the base."""
    found = []
    for each in declared:
        if not extra:
            wanted = each.marker is None or each.marker.evaluate({"extra": ""})
        else:
            wanted = each.marker is not None and each.marker.evaluate({"extra": extra})
            wanted = wanted and not each.marker.evaluate({"extra": ""})  # type: ignore[union-attr]
        if wanted and each.name == "sarcomap":
            for nested in sorted(each.extras):
                found += _of(declared, nested)
        elif wanted:
            found.append(each)
    return found


def _trouble(needs: list[Requirement]) -> dict[str, str]:
    """What is absent or of another version, by the package's name."""
    wrong = {}
    for each in needs:
        number = installed_version(each.name)
        if number is None:
            wrong[each.name] = f"{each.name} is not installed"
        elif not each.specifier.contains(number, prereleases=True):
            wrong[each.name] = f"{each.name} {number} is not {each.specifier}"
    return wrong


def _extra(extra: str, needs: list[Requirement]) -> Finding:
    names = list(dict.fromkeys(each.name for each in needs))
    wrong = _trouble(needs)
    absent = [name for name in names if installed_version(name) is None]
    shown = [name for name in _SHOWN.get(extra, names) if name not in wrong]
    parts = [", ".join(f"{name} {installed_version(name)}" for name in shown)] if shown else []
    parts += ["not installed: " + ", ".join(absent)] if absent else []
    parts += [text for name, text in wrong.items() if name not in absent]
    text = "; ".join(parts) + (f'. Run pip install "sarcomap[{extra}]"' if wrong else "")
    if extra == "cpu" and len(absent) > len(_BACKENDS):
        text += ', or "sarcomap[gpu]" for an NVIDIA GPU'
    needed = extra in ("cpu", "gpu") and bool(set(absent) - _BACKENDS - {"numba-cuda", "onnxruntime-gpu"})
    return Finding(extra, text, not wrong, needed)
