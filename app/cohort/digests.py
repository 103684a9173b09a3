"""Digests of all that decides a study's results besides its input: model, options and software."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from app.cohort.records import Digests
from operators.core.model_card import CARD_FILE, SHIPPED_BUNDLE, check_bundle_folder
from operators.core.options import RunOptions
from operators.core.options.declaration import recorded
from operators.core.segmenters import model_digest

__all__ = ["content_digest", "digests_of", "software_digest"]

_ROOT = Path(__file__).resolve().parents[2]
# The cost of one guess at a secret of which a digest is known.
_ROUNDS = 200_000
# Options that let a study be processed, and change nothing in its results.
_NO_RESULT = ("overwrite", "trust_bundle")
_LIMITS = ("segmenter_minutes", "segmenter_memory_gb")


def digests_of(options: RunOptions, model: Path | None, fuse_only: bool, keep: str) -> Digests:
    """Digests of a run.

    Where it runs does not count: with another device or number of workers, done studies stay done.

    Raises
    ------
    SegmentationError
        If the model is not a bundle.
    """
    return Digests(_model(options, model, fuse_only), _options(options, fuse_only, keep), software_digest())


def content_digest(file: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@cache
def software_digest() -> str:
    """Digest of our own code that makes results, and its version. Changes of documents and tests do not count."""
    from operators.core.dicom_objects import software_version  # pydicom, for which the start of a child would wait

    digest = hashlib.sha256(software_version().encode())
    folders = [_ROOT / "operators", _ROOT / "bundle" / "scripts"]
    for file in sorted(file for folder in folders for file in folder.rglob("*.py")):
        digest.update(file.relative_to(_ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def _model(options: RunOptions, model: Path | None, fuse_only: bool) -> str:
    if fuse_only:
        return "none"
    if options.labels.segmentation:
        digest = hashlib.sha256()
        for file in options.labels.segmentation:
            digest.update(content_digest(file).encode())
        return digest.hexdigest()[:32]
    if (tool := options.labels.tool()) is not None:
        text = f"{tool!r} {'' if tool.model is None else model_digest(tool.model)} {_scheme(tool.scheme)}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]
    bundle = Path(model or SHIPPED_BUNDLE)
    check_bundle_folder(bundle)
    # The card states the digest of the weights, which is checked when they are loaded.
    digest = hashlib.sha256((bundle / CARD_FILE).read_bytes())
    for file in sorted((bundle / "configs").glob("*")):
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:32]


def _options(options: RunOptions, fuse_only: bool, keep: str) -> str:
    record = recorded(options)
    for part in (record, record["fusion"], record["segmentation"]):
        part.pop("device", None)
    for part, names in ((record, _NO_RESULT), (record["labels"], _LIMITS)):
        for name in names:
            part.pop(name)
    labels = [_scheme(name) for name in options.labels.scheme]
    chosen = options.deidentification.chosen()
    # Another key makes other pseudonyms. Its digest is slow to compute, so that nobody can guess a short key from it.
    key = (
        "" if chosen is None else hashlib.pbkdf2_hmac("sha256", chosen.key.encode(), b"sarcomap cohort", _ROUNDS).hex()
    )
    text = json.dumps([record, labels, fuse_only, keep, key[:16]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _scheme(name: str) -> str:
    return Path(name).read_text(encoding="utf-8") if name.endswith((".yaml", ".yml", ".json")) else name
