"""A study's short name, made from its UID."""

from __future__ import annotations

import hashlib

__all__ = ["study_key"]


def study_key(study_uid: str) -> str:
    """A name for a study where its own must not appear: the pseudonym in reports, and its name in queues and logs.

    The same study has the same key everywhere. Anyone who knows the UID can
    compute the key, so it does not de-identify the study.

    Examples
    --------
    >>> study_key("1.2.3")
    'c47f5b18b8a4'
    """
    return hashlib.sha256(study_uid.encode()).hexdigest()[:12]
