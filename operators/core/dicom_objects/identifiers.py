"""The maker of an object, and unique identifiers that are derived from its sources."""

from __future__ import annotations

import uuid
from importlib import metadata

__all__ = ["MANUFACTURER", "derived_uid", "software_version"]

MANUFACTURER = "SarcoMAP"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:sarcomap:dicom")


def derived_uid(*parts: str) -> str:
    """A DICOM UID that is always the same for the same parts (PS3.5 B.2: ``2.25`` and a UUID, here of version 5)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(31).join(parts)).int}"


def software_version() -> str:
    """The installed version of SarcoMAP, or ``unknown`` when it runs from source without being installed."""
    try:
        return metadata.version("sarcomap")
    except metadata.PackageNotFoundError:
        return "unknown"
