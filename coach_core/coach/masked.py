"""A question without what could name a person: addresses, numbers, names that somebody gives of themselves.

Invariant: what is masked is never stored. It errs on the side of masking; who reads the question learns what
was asked, not by whom.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from coach_core.types import clean_text

LONGEST = 500
_NAME = r"[^\W\d_][\w'’.-]*(?:[ \t]+(?:[A-ZÀ-ÖØ-Þ][\w'’-]*))*"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(?:https?|ftp)://\S+|\bwww\.\S+", re.I), "[link]"),
    (re.compile(r"[^\s<>()\[\]@,;:]+@[\w.-]*\w"), "[e-mail]"),
    (re.compile(r"(?<!\w)@\w[\w.]+"), "[name]"),
    (re.compile(r"(?<![\w.])\+?\(?\d(?:[\s()./-]{0,3}\d){6,}\)?"), "[number]"),
    (re.compile(r"\w*\d{5,}\w*"), "[number]"),
    (
        re.compile(
            r"(?i:\b(my name(?:'s| is)|i am called|mi nombre es|me llamo|mein name ist|ich hei(?:ß|ss)e|"
            r"je m['’]appelle|mon nom est|mi chiamo|meu nome (?:é|e)|me chamo))[ \t]+" + _NAME
        ),
        r"\1 [name]",
    ),
    (re.compile(r"(اسمي|我叫|我的名字是|私の名前は)\s*[^\s,.，。،؟?!]{1,20}"), r"\1 [name]"),
)


def masked(text: str) -> str:
    """`text` on one line, masked, cut at LONGEST characters."""
    told = " ".join(unicodedata.normalize("NFKC", clean_text(text)).split())
    for rule, mask in _RULES:
        told = rule.sub(mask, told)
    told = " ".join(told.split())
    return told if len(told) <= LONGEST else told[:LONGEST].rsplit(" ", 1)[0] + " …"


def key_of(text: str) -> str:
    """The same for a question however it is spaced, cased and ended."""
    plain = re.sub(r"[^\w]+", " ", text.casefold()).strip()
    return hashlib.sha256(plain.encode()).hexdigest()
