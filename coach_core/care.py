"""Whether a message shows signs of acute crisis: a person, whoever writes, at risk of life or limb now.

Invariant: judged from the text and its language alone, sentence by sentence, without a model of language. It is a
test for showing help lines, no clinical instrument; where the models of meaning are not there, rules judge and say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
#: The vectors of sentences by the name of what made them; only what is there.
Vectors = Callable[[Sequence[str], str], Mapping[str, F32]]
WEIGHTS = Path(__file__).parent / "care.npz"
LANGUAGES = ("en", "es", "de", "zh", "ar")
_MOST, _PAIRED = 24, 14  # sentences of a message that are looked at, from both ends; that are paired too
_END = re.compile(r"(?<=[.!?؟…])\s+|(?<=[。！？])|\n+")
_BEST = 3  # pieces that make a message's score
_SECOND = 0.7  # what the English model counts beside the other


@dataclass(frozen=True, slots=True)
class Care:
    """`crisis` brings the referral; `unsure` is worth another judge. `score` is 0 to 1, `judge` who said so."""

    level: Literal["none", "unsure", "crisis"]
    score: float
    judge: Literal["meaning", "rules", "model"]


def pieces(text: str) -> list[str]:
    """Sentences, pairs of neighbours and the whole, each once."""
    found = [s.strip() for s in _END.split(text) if s and s.strip()]
    if len(found) > _MOST:
        found = [*found[: _MOST // 2], *found[-_MOST // 2 :]]
    pairs = [" ".join(found[i : i + 2]) for i in range(len(found) - 1)] if len(found) <= _PAIRED else []
    return list(dict.fromkeys([*found, *pairs, text.strip()[:4000]]))


class Judge:
    """Judges messages; `vectors` gives what the models of meaning make of sentences, {} while there are none."""

    def __init__(self, vectors: Vectors | None = None, weights: Mapping[str, Any] | None = None) -> None:
        self._vectors, self._given = vectors, weights

    def judge(self, text: str, language: str) -> Care:
        if not text.strip():
            return Care("none", 0.0, "rules")
        parts = pieces(text)
        made = self._vectors(parts, language) if self._vectors is not None and self._weights else {}
        if "layers" not in made:
            return by_rules(text)
        score = told(rated(self._weights, made, parts))
        limit = float(self._weights["limit"])
        level = "crisis" if score >= limit else "unsure" if score >= limit - float(self._weights["doubt"]) else "none"
        return Care(level, round(float(1 / (1 + np.exp(limit - score))), 3), "meaning")

    @cached_property
    def _weights(self) -> Mapping[str, Any]:
        if self._given is not None:
            return self._given
        return dict(np.load(WEIGHTS)) if WEIGHTS.exists() else {}


def rated(weights: Mapping[str, Any], made: Mapping[str, F32], parts: Sequence[str]) -> F32:
    """What each piece scores: the sum over the models that there are."""
    total = np.zeros(len(parts), np.float32)
    for name, share in (("layers", 1.0), ("english", _SECOND)):
        if name in made and f"{name}_w" in weights:
            x = (np.c_[made[name], signs(parts)] - weights[f"{name}_mean"]) * weights[f"{name}_scale"]
            score = x @ weights[f"{name}_w"] + weights[f"{name}_b"]
            total += share * (score - weights[f"{name}_at"]) / weights[f"{name}_by"]
    return total / (1 + _SECOND if "english" in made and "english_w" in weights else 1.0)


def told(scores: F32) -> float:
    """What a message scores: the mean of the pieces that show most, so that one odd sentence is not enough, while
    one that is meant shows in the pieces around it too."""
    return float(np.sort(scores)[-_BEST:].mean())


# -- rules ----------------------------------------------------------------------------------------------

_RISK = re.compile(
    r"\b(?:kill(?:ing)? (?:my|him|her|them)self|end (?:my|his|her|their) (?:own )?li(?:fe|ves)|ending it all|suicid\w+|"
    r"want(?:s|ed)? to die|wanna die|rather be dead|better off (?:dead|without me)|(?:not|never) wak(?:e|ing) up|"
    r"(?:hurt|harm|cut|cutting|hurting|harming|injur\w+|burn\w*) (?:my|him|her|them)sel(?:f|ves)|"
    r"beat(?:s|ing)? me|hits? me|chok(?:ed|es) me|locked me in|rap(?:ed|es|ing) |"
    r"(?:going to|gonna|will) kill (?:him|her|them|you|me|us|every)|"
    r"can(?:'|no)?t breathe|overdos\w+|unconscious|not respond\w*|bleeding (?:heavily|a lot)|chest (?:pain|hurts)|"
    r"turning blue|seizure|won'?t wake up)\b"
    r"|\b(?:quitar(?:me|se) la vida|matarme|matarse|suicid\w+|me quiero morir|quiero morir(?:me)?|no "
    r"quiere? (?:seguir )?"
    r"viv(?:o|ir)|hacer(?:me|se) daño|me (?:corto|corté|cort[eé])|autolesion\w*|me (?:pega|golpea|viol[oó]|ahorc[oó])|"
    r"lo voy a matar|la voy a matar|no puedo respirar|sobredosis|no responde|sangra mucho|duele (?:mucho )?el pecho)\b"
    r"|\b(?:das leben nehmen|umbringen|bring\w* (?:mich|ihn|sie|dich) um|suizid\w*|selbstmord\w*|will "
    r"(?:nur noch )?sterben|"
    r"nicht mehr leben|nie wieder aufwachen|ritz\w*|verletze mich|tu\w* mir weh|schlägt mich|würgt\w*|vergewaltig\w*|"
    r"keine luft|überdosis|reagiert nicht|blutet stark|brust tut)\b"
    r"|自杀|自殺|轻生|輕生|想死|去死|不想活|活不下去|结束(?:自己的)?生命|結束生命|割腕|割了?自己|自残|自殘|伤害自己|傷害自己|打我|家暴|"
    r"掐我|强奸|強姦|杀了(?:他|她|他们)|喘不上气|昏迷|叫不醒|大出血|胸口(?:很)?(?:疼|痛)|遗书|遺書"
    r"|انتحر|الانتحار|أنتحر|أقتل نفسي|اقتل حالي|أنهي حياتي|أموت|بدي موت|أبغى أموت|أؤذي نفسي|أذي نفسي|أجرح|جرحت نفسي|"
    r"يضربني|بيضربني|خنقني|اغتص|رح أقتله|هقتله|بقتله|مش قادر أتنفس|ما أقدر أتنفس|ينزف|تنزف|ما يصحى|مش بيرد",
    re.IGNORECASE,
)
_NOW = re.compile(
    r"\b(?:now|tonight|today|right now|again|tomorrow|plan|goodbye|letter|note|ahora|esta noche|hoy|otra "
    r"vez|mañana|plan|"
    r"despedida|carta|jetzt|heute|gerade|wieder|morgen|abschied\w*)\b|现在|今晚|今天|又|明天|刚|告别|遗书|"
    r"الآن|الليلة|اليوم|دلوقتي|هلق|الحين|بكرة|وداع",
    re.IGNORECASE,
)
_PAST = re.compile(
    r"\b(?:years? ago|long ago|used to|back then|as a (?:teen\w*|child|kid)|in the past|recovered|behind me|"
    r"hace (?:\w+ )?(?:años|mucho)|de adolescente|superé|ya pasó|vor (?:\w+ )?jahren|früher|damals|"
    r"überwunden|lange vorbei)\b"
    r"|年前|以前|曾经|曾經|小时候|已经康复|走出来|قبل (?:\w+ )?(?:سنين|سنوات|سنة)|من زمان|زمان كنت|تعافيت|تجاوزت",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"\b(?:news|newspaper|article|headline\w*|documentary|podcast|report|statistics|celebrity|noticia\w*|periódico|"
    r"documental|reportaje|cifras|nachricht\w*|zeitung|doku\w*|bericht|artikel|"
    r"novel|story|character|chapter|script|screenplay|play|film|song|lyrics|poem|thesis|essay|exam|course|"
    r"workshop|lecture|"
    r"novela|personaje|guion|obra|película|canción|tesis|examen|curso|taller|roman|figur|kapitel|drehbuch|theater|lied|"
    r"arbeit über|prüfung|kurs|seminar|game|boss|level|raid|match|partida|juego|spiel|endgegner|elfmeter)\b"
    r"|新闻|新聞|报道|報導|纪录片|小说|小說|剧本|劇本|论文|論文|考试|课程|讲座|电影|歌词|游戏|遊戲|打野|副本"
    r"|خبر|الأخبار|تقرير|وثائقي|رواية|شخصية|مسرحية|فيلم|أغنية|رسالتي|امتحان|دورة|محاضرة|لعبة|مباراة",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"\b(?:not|no longer|never|isn'?t|don'?t|doesn'?t|wasn'?t|nobody|false alarm|ruled out|no|nunca|nadie|descart\w+|"
    r"falsa alarma|nicht|kein\w*|nie|niemand|ausgeschlossen|falscher alarm)\b"
    r"|不是|没有|沒有|不会|不會|从不|从来没|排除|虚惊|لا |لن |لم |ليس|مش |مو |ما في|استبعد|إنذار كاذب",
    re.IGNORECASE,
)
_JOKE = re.compile(
    r"\b(?:lol|lmao|ha(?:ha)+|jaja\w*|hehe\w*|of laughter|of boredom|for a coffee|de risa|de ganas|de "
    r"cansancio|tot(?:gelacht)?)"
    r"\b|哈哈|笑死|累死|热死|hhh|هه+|😂|🤣|😅",
    re.IGNORECASE,
)
_SIGNS = (_RISK, _NOW, _PAST, _TOLD, _NOT, _JOKE)


def signs(parts: Sequence[str]) -> F32:
    """What the rules see in each piece, as numbers beside its vector."""
    seen = np.array([[bool(rule.search(part)) for rule in _SIGNS] for part in parts], np.float32)
    calm = 1 - seen[:, 2:].max(axis=1, keepdims=True)
    return np.c_[seen, seen[:, :1] * calm, seen[:, :1] * seen[:, 1:2] * calm].astype(np.float32)


def by_rules(text: str) -> Care:
    """What words alone say: an explicit sign that nothing beside it explains. They miss whatever is hinted at."""
    level, score = "none", 0.0
    for part in [s for s in _END.split(text) if s and s.strip()]:
        risk, now, *calm = (bool(rule.search(part)) for rule in _SIGNS)
        if risk and not any(calm):
            return Care("crisis", 0.8 if now else 0.6, "rules")
        if risk:
            level, score = "unsure", 0.3
    return Care(level, score, "rules")
