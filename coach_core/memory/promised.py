"""What a sentence of a person's own commits them to, or says that they have decided, by rules in five languages.

Invariant: pure. A question, a wish or a what-if commits nobody; only the first person does.
"""

# ruff: noqa: E501 - patterns are read more easily whole
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Promise = Literal["commitment", "decision"]
_COMMITMENTS: Mapping[str, str] = {
    "en": r"\b(?:i(?:'ll| will| shall)(?! (?:be|have to|never know|see if|admit|say))|i(?:'m| am) going to|i (?:promise|commit|intend|agree)(?:d)? to|i plan to"
    r"|i(?:'m| am) (?:committed|determined) to|i(?:'ve| have) (?:promised|committed|agreed) to|my next step is|by (?:then|monday|tuesday|wednesday"
    r"|thursday|friday|saturday|sunday|tomorrow|next \w+) i)\b",
    "es": r"\b(?:voy a|prometo|me comprometo a|me propongo|acordé|he prometido|mañana (?:voy|haré|llamo|llamaré)|mi próximo paso es"
    r"|(?:llamar|har|escribir|hablar|empezar|dejar|pedir|ir|intentar|buscar|preparar|terminar|enviar)é)\b",
    "de": r"\b(?:ich werde|werde ich|ich verspreche|ich nehme mir vor|habe ich mir vorgenommen|ich habe mir vorgenommen|ich verpflichte mich"
    r"|mein nächster schritt ist|ich habe (?:versprochen|zugesagt)|bis (?:morgen|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag)\b.*\bich)\b",
    "zh": r"我(?:会|将|一定|保证|承诺|答应|要在|明天|下周|这周|打算在|准备在)(?!不会|会不会)|我的下一步是",
    "ar": r"(?:^|\s)(?:سوف أ\w+|سأ\w+|أعد ب\w+|أعدك|التزمت|ألتزم|أتعهد|وعدت|خطوتي التالية)",
}
_DECISIONS: Mapping[str, str] = {
    "en": r"\b(?:i(?:'ve| have)? (?:finally |just |now |already )?(?:decided|chosen|chose|made up my mind|settled on|opted)|my decision is|we (?:have )?(?:decided|agreed))\b",
    "es": r"\b(?:he decidido|decidí|decidimos|hemos decidido|he elegido|elegí|mi decisión es|acordamos|he optado)\b",
    "de": r"\b(?:habe (?:ich )?(?:mich )?.{0,60}\bentschieden|ich habe mich .{0,60}entschieden|beschlossen|meine entscheidung|wir haben (?:uns )?.{0,40}(?:entschieden|geeinigt|vereinbart))\b",
    "zh": r"(?:我|我们)(?:已经|终于|最后|还是)?(?:决定|选择了|商量好)",
    "ar": r"(?:^|\s)(?:قررت|قررنا|اخترت|قراري|اتفقنا|حسمت)",
}
_NOT = re.compile(
    r"\b(?:if i|maybe|perhaps|i wonder|should i|what if|i don't think|quizás?|tal vez|si yo|vielleicht|falls ich|wenn ich)\b|也许|可能|如果|要是|ربما|(?:^|\s)(?:إذا|لو)\s",
    re.I,
)
#: "I'll try that": thanks, and no word of what
_COURTESY = re.compile(
    r"\b(?:try|do|consider|remember|keep|take|look|check|give|think)\b(?: \w+){0,3}? (?:it|that|this|them|these|those|some of them|your \w+|everything)\b(?: \w+){0,3}[.!]*$"
    r"|\b(?:lo|la|los|las) (?:intentaré|tendré en cuenta|haré|probaré)\b|\bwerde (?:ich )?(?:es|das|sie) (?:mal )?(?:versuchen|probieren|beachten|machen)\b"
    r"|我会(?:去)?(?:试试|看看|看一看|注意|尝试|考虑|记住|努力)的?(?:看)?[。！.!]*$|谨记|سأ(?:جرب|حاول|فكر في) (?:ذلك|هذا|الأمر)",
    re.I,
)
_COMPILED = {code: (re.compile(_DECISIONS[code], re.I), re.compile(_COMMITMENTS[code], re.I)) for code in _COMMITMENTS}


def promised(sentence: str, language: str) -> Promise | None:
    """Whether a sentence is a commitment or a decision; languages without rules of their own are read as English."""
    plain = sentence.strip().replace("’", "'")
    if plain.endswith(("?", "？", "؟")) or _NOT.search(plain):
        return None
    decided, will = _COMPILED.get(language, _COMPILED["en"])
    if decided.search(plain):
        return "decision"
    return "commitment" if will.search(plain) and not _COURTESY.search(plain) else None
