"""A study's short name, made from its UID."""

from __future__ import annotations

import hashlib

__all__ = ["study_key"]


def study_key(study_uid: str) -> str:
    """How a study is called where its own names must not appear: as a pseudonym in reports, in queues and logs.

    The same study has the same key everywhere. Who knows the UID can compute
    it, so it is no de-identification.

    Examples
    --------
    >>> study_key("1.2.3")
    'c47f5b18b8a4'
    """
    return hashlib.sha256(study_uid.encode()).hexdigest()[:12]
