"""Whether an image was acquired after a contrast agent, as far as its header says so."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["agent_told_by"]

#: What people and scanners write into ContrastBolusAgent where there was none.
_NONE = re.compile(
    r"[\W_]*(no|non|none|nil|null|nein|non[ -]?contrast|without|ohne|native|0+|n/?a|unknown)?[\W_]*", re.IGNORECASE
)
#: Descriptions such as ``T1w_abdomen_post_contrast_dixon_cor_bh`` (openmiblab/ppln-ibeat-dixon), ``nach KM``, ``C+``.
_AFTER = re.compile(
    r"(?<![a-z])(post|nach|mit|apr[eè]s|avec|con|com)[ _-]?(contrast[eo]?|gad\w*|gd|km|cm|inj\w*)(?![a-z])|"
    r"\+ ?(c|gd|km)(?![a-z])|(?<![a-z])(c|gd|km|gado) ?\+|contrast[ _-]?enhanced|"
    r"(?<![a-z])(gado|inject[eé]e?s?)(?![a-z])",
    re.IGNORECASE,
)
#: Names of before, and of both before and after.
_NOT_AFTER = re.compile(
    r"(?<![a-z])(pr[eé]|avant|vor|sans|sin|sem|senza|ohne|non?|without|w ?/ ?o)[ _-]?(contrast|gad|gd|km|inj)|"
    r"(?<![a-z])(c|gd|km) ?[-/] ?(/|\+)|w ?/ ?wo|\+ ?/ ?-|- ?/ ?\+",
    re.IGNORECASE,
)


@lru_cache(maxsize=256)
def agent_told_by(agent: str, description: str) -> str:
    """What says that there was a contrast agent.

    Parameters
    ----------
    agent : str
        ContrastBolusAgent (0018,0010), or the meaning of the first ContrastBolusAgentSequence (0018,0012) code, or any
        word where a volume or dose is stated without a name.
    description : str
        SeriesDescription.

    Returns
    -------
    {"", "ContrastBolusAgent", "description"}
        Empty when nothing says so.

    Examples
    --------
    >>> agent_told_by("gadobutrol", "")
    'ContrastBolusAgent'
    >>> agent_told_by("NONE", "pre_contrast_dixon_W")
    ''
    """
    if not _NONE.fullmatch(agent):
        return "ContrastBolusAgent"
    return "description" if _AFTER.search(description) and not _NOT_AFTER.search(description) else ""
