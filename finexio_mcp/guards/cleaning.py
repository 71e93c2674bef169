"""Text that others wrote, without the characters that hide things, and bounded."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

ELLIPSIS = "…"
LINE_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
HIDING = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
"""Control, format (bidi, zero-width, tags), private, surrogate, unassigned, line and paragraph separators."""


@lru_cache(maxsize=4096)
def _hides(character: str) -> bool:
    if character in "\n\t":
        return False
    code = ord(character)
    selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    return selector or unicodedata.category(character) in HIDING


def clean(text: str, *, limit: int, single_line: bool = False) -> str:
    """Without control, bidi, zero-width, tag and private characters, and at most `limit` long.

    Letters of all scripts stay. Line breaks and tabs stay too, unless it has to be a single line.
    """
    if not (text.isascii() and text.isprintable()):
        if single_line:
            text = LINE_BREAKS.sub(" ", text)
        # A flood need not be read to its end.
        text = "".join(character for character in text[: limit * 4] if not _hides(character))
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS
