"""What kind of answer a question asks for, and whether a text holds one of that kind.

Invariant: a question that asks for nothing of a known kind is never held against a text. The kinds are those whose
answers have a shape of their own (a dose, a price, a telephone number, any number), asked in English, Spanish,
German, French, Arabic or Chinese.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_NUMBER = (
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|forty|fifty|sixty|ninety"
    r"|hundred|thousand|half|third|quarter|once|twice|dozen|percent|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez"
    r"|eins|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|deux|trois|quatre|cinq|huit|neuf|dix)\b"
    r"|[一二三四五六七八九十百千两半]"
)
_UNIT = r"(?:mg|mcg|µg|ml|g|iu|ng|units?|milligram\w*|microgram\w*|grams?|miligramos|毫克|ملغ)"
#: the first kind that a question asks for counts: what it asks with, and what an answer holds
_KINDS = (
    (
        r"\b(?:dose|dosage|dosis|milligrams?|mg|miligramos?|milligramm|ng/ml|units of|unidades de|einheiten)\b"
        r"|剂量|毫克|جرعة|ملغ|مليغرام",
        rf"\d\s*-?{_UNIT}\b|{_UNIT}\s*\d",
    ),
    (
        r"\b(?:phone number|telephone number|helpline number|which number|what number|número (?:\w+ ){0,4}llamar"
        r"|número de teléfono|telefonnummer|welche nummer|numéro de téléphone)\b|电话|号码|رقم (?:ال)?هاتف",
        r"\d[\d\s().-]{5,}\d|\b(?:911|988|112|211|2-1-1)\b",
    ),
    (
        r"\b(?:fees?|price|how much (?:is|does|do) .{0,60}(?:cost|charge)|what does .{0,60}(?:cost|charge)|costs?"
        r"|cuánto (?:cuesta|cobra|vale)|was kostet|wie teuer|combien coûte)\b|学费|多少钱|价格|费用|سعر|تكلفة|كم يكلف",
        r"[$€£¥₹]\s?\d|\d\s?(?:[$€£¥₹]|dollars?|euros?|pounds?|cents?|usd|eur|元|块|دولار|يورو)",
    ),
    (
        r"\b(?:how (?:many|much|high|long|old|often|late)|what (?:share|percentage|rate|limit)|cuánt[oa]s?"
        r"|wie (?:viele?|hoch|lange|oft|alt)|combien|rate|percentage)\b|多少|几[个次年月天岁]|多久|利率|كم |نسبة",
        _NUMBER,
    ),
)
_COMPILED = tuple((re.compile(ask, re.IGNORECASE), re.compile(hold, re.IGNORECASE)) for ask, hold in _KINDS)
_NOW = re.compile(
    r"\b(?:this year|este año|dieses jahr|cette année)\b|今年|هذا العام|هذه السنة",
    re.IGNORECASE,
)


def lacking(question: str, text: str) -> bool:
    """Whether the question asks for a kind of answer of which `text` holds none.

    This year's figure is in no text that does not name this year.
    """
    kind = next((hold for ask, hold in _COMPILED if ask.search(question)), None)
    if kind is None:
        return False
    return kind.search(text) is None or (bool(_NOW.search(question)) and str(datetime.now(UTC).year) not in text)
