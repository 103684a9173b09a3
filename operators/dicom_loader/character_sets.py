"""Text in the character set that a file declares (PS3.5 6.1.2), or in the one that it is written in.

Gateways and anonymisers declare one character set and write another, most often UTF-8 that is not declared. Names
that were decoded as declared would then be wrong in every object that we write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from pydicom.charset import CODES_TO_ENCODINGS, convert_encodings, decode_bytes, default_encoding
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

__all__ = ["TEXT_REPRESENTATIONS", "decode_texts", "decoded", "is_assumed", "is_plain"]

TEXT_REPRESENTATIONS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Value representations whose text is in the declared character set."""

_CHARACTER_SET = 0x00080005
_ESCAPE = b"\x1b"
#: Each of them ends the character set of an escape sequence (PS3.5 6.1.2.5.3). Names have two more.
_DELIMITERS, _DELIMITERS_OF_NAMES = frozenset(b"\\\n\r\f\t"), frozenset(b"\\\n\r\f\t^=")
#: In all Western ones, what can be read as UTF-8 makes no words. In others, a short name may be both.
_WESTERN = frozenset({"latin_1", "iso8859_2", "iso8859_3", "iso8859_4", "iso_ir_148"})
#: Chinese by escape sequences, which Python does not take out of the text.
_CHINESE, _ITS_ESCAPES = "iso_ir_58", re.compile(rb"\x1b(\$\)A|\(B)")
_CONTROL = re.compile("[\x80-\x9f]")  # in no text; it shows that bytes were read in a wrong character set


def is_plain(value: bytes) -> bool:
    """Whether a text is the same in every character set."""
    return value.isascii() and _ESCAPE not in value


def decoded(value: bytes, declared: str, representation: str) -> str:
    """Text of an element; characters that cannot be read are U+FFFD.

    Parameters
    ----------
    value : bytes
    declared : str
        Value of Specific Character Set (0008,0005); several are joined by a backslash.
    representation : str
        Value representation of the element.

    Examples
    --------
    >>> decoded("Müller^Jörg".encode(), "ISO_IR 100", "PN"), decoded(b"M\\xfcller", "ISO_IR 100", "PN")
    ('Müller^Jörg', 'Müller')
    """
    value = value.rstrip(b"\0 ")
    encodings = convert_encodings([name.strip() for name in declared.split("\\")])
    if _ESCAPE not in value:
        return next(_readings(value, encodings), None) or value.decode(encodings[0], errors="replace")
    # A gateway that drops the declaration leaves the escape sequences, which name the sets too.
    encodings += [name for code, name in CODES_TO_ENCODINGS.items() if code in value and name not in encodings]
    if _CHINESE in encodings and _ESCAPE not in (bare := _ITS_ESCAPES.sub(b"", value)):
        return bare.decode(_CHINESE, errors="replace")
    return decode_bytes(value, encodings, set(_DELIMITERS_OF_NAMES if representation == "PN" else _DELIMITERS))


def is_assumed(value: bytes, declared: str) -> bool:
    """Whether `decoded` takes a text for Latin-1 although nothing says so: no set is declared, and it is not UTF-8.

    Examples
    --------
    >>> is_assumed(b"M\\xfcller", ""), is_assumed("Müller".encode(), ""), is_assumed(b"M\\xfcller", "ISO_IR 100")
    (True, False, False)
    """
    value = value.rstrip(b"\0 ")
    if is_plain(value) or _ESCAPE in value:
        return False
    first, *others = convert_encodings([name.strip() for name in declared.split("\\")])
    return first == default_encoding and not any(_texts(value, ("UTF8", *others)))


def decode_texts(header: Dataset) -> frozenset[str]:
    """Decode the text elements of a data set that pydicom has not converted yet; those in sequences are left to it.

    Returns
    -------
    frozenset of str
        Keywords of the elements whose character set was assumed; see `is_assumed`.
    """
    said = header.get_item(_CHARACTER_SET)
    value = b"" if said is None else said.value or b""
    names = value.decode("ascii", errors="replace") if isinstance(value, bytes) else value
    declared = (names if isinstance(names, str) else "\\".join(names)).strip("\0 ")
    assumed: set[str] = set()
    for tag in list(header.keys()):  # a data set's own iterator would convert them
        raw = header.get_item(tag)
        if not isinstance(raw, RawDataElement) or not isinstance(raw.value, bytes) or is_plain(raw.value):
            continue
        representation = raw.VR or ("" if tag.is_private else dictionary_VR(tag))
        if representation in TEXT_REPRESENTATIONS:
            header[tag] = DataElement(tag, representation, decoded(raw.value, declared, representation))
            if is_assumed(raw.value, declared):
                assumed.add(keyword_for_tag(tag))
    return frozenset(assumed)


def _readings(value: bytes, encodings: Sequence[str]) -> Iterator[str]:
    """The text as declared and as UTF-8, the likelier first, without those that are none."""
    first, *others = encodings
    if first == default_encoding:  # which has ASCII only, so that this is of another set, without its escape sequence
        order = ("UTF8", *others, first)
    else:
        order = ("UTF8", first) if first in _WESTERN else (first, "UTF8")
    return _texts(value, order)


def _texts(value: bytes, encodings: Iterable[str]) -> Iterator[str]:
    for name in encodings:
        with suppress(UnicodeError, LookupError):
            text = value.decode(name)
            if not _CONTROL.search(text):
                yield text
