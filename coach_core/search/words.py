"""Text as the tokens that full text search stores and asks for; FTS5 and PostgreSQL get the same.

Invariant: the same text and language always give the same tokens, in any process. Every token is one
run of letters or digits without spaces, quotes or operators, so that tokens joined by spaces are safe
in any full text query once quoted.

A token is NFKC, case folded, without diacritics in Latin, Greek and Arabic, and stemmed by the language its
script allows: a Latin word by the text's language (English when unknown), an Arabic word by Arabic, and
so on, so that a name or a term in another script is found from both sides. Chinese, Japanese, Korean
and other scripts without spaces or with particles become pairs of characters.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from coach_core.search.stopwords import STOP_WORDS

_STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek",
    "en": "english", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
#: languages written in Latin letters that detection may answer; more would make short texts a lottery
_LATIN = (
    "en", "es", "de", "fr", "it", "pt", "nl", "sv", "da",
    "no", "fi", "pl", "ro", "cs", "hu", "tr", "id", "ca",
)  # fmt: skip
_SCRIPTS = (
    ("kana", re.compile(r"[\u3040-\u30ff\uff66-\uff9f]")),
    ("hangul", re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")),
    ("han", re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")),
    ("thai", re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")),
    ("arabic", re.compile(r"[\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff]")),
    ("cyrillic", re.compile(r"[\u0400-\u052f]")),
    ("greek", re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")),
    ("hebrew", re.compile(r"[\u0590-\u05ff]")),
    ("devanagari", re.compile(r"[\u0900-\u097f]")),
    ("tamil", re.compile(r"[\u0b80-\u0bff]")),
    ("armenian", re.compile(r"[\u0530-\u058f]")),
    ("latin", re.compile(r"[a-z\u00c0-\u024f\u1e00-\u1eff]", re.IGNORECASE)),
)
_LANGUAGE_OF_SCRIPT = {
    "kana": "ja", "hangul": "ko", "han": "zh", "thai": "th", "arabic": "ar", "cyrillic": "ru", "greek": "el",
    "hebrew": "he", "devanagari": "hi", "tamil": "ta", "armenian": "hy",
}  # fmt: skip
_OTHERS_OF_SCRIPT = {"arabic": {"fa"}, "cyrillic": {"sr"}, "devanagari": {"ne"}}
_PAIRED = ("kana", "hangul", "han", "thai")
_PAIRED_RUN = re.compile("".join(p.pattern for s, p in _SCRIPTS if s in _PAIRED).replace("][", ""))
#: letters and digits with the marks that follow them; an underscore or any punctuation parts words
_WORD = re.compile(r"(?:[^\W_]|(?<=\w)[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0dff])+")
_FOLDED_MARKS = re.compile(r"[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0640]")
_PERSIAN = re.compile("[پچژگ]")
_SAMPLE = 4000
_SURE_FROM = 40  # characters; below it stop words decide before statistics do
_local = threading.local()


def tokenise(text: str, language: str = "") -> str:
    """The tokens of `text`, joined by spaces; `language` is a two-letter code, detected when empty."""
    return " ".join(_tokens(text, language or language_of(text)))


def query_words(text: str, languages: Iterable[str] = ()) -> list[str]:
    """The tokens to ask for, any of which may match, each once, in the order of the text.

    A question does not say in which language the documents are. So a word is asked for as each of
    `languages` (those of the documents, where known), the question's own and English would stem it.
    """
    return list(query_counts(text, languages))


def query_counts(text: str, languages: Iterable[str] = ()) -> dict[str, int]:
    """The tokens of `query_words` with how often each is said: what a long question repeats, it is about."""
    return most_of(query_readings(text, languages))


def most_of(readings: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """All tokens of `readings`, each with its highest count."""
    found: dict[str, int] = {}
    for reading in readings:
        for token, count in reading.items():
            found[token] = max(count, found.get(token, 0))
    return found


def query_readings(text: str, languages: Iterable[str] = ()) -> list[dict[str, int]]:
    """The tokens of the question with their counts, as each language would read it."""
    codes = [code for code in dict.fromkeys([language_of(text), "en", *languages]) if code]
    readings = [Counter(_tokens(text, code)) for code in codes]
    stop = frozenset().union(*(STOP_WORDS.get(code, frozenset()) for code in (language_of(text), "en")))
    kept = [{token: count for token, count in reading.items() if token not in stop} for reading in readings]
    return [reading for reading in kept if reading] or [dict(reading) for reading in readings]


@lru_cache(maxsize=256)
def language_of(text: str) -> str:
    """The language as a two-letter code, or "" when there is too little to tell."""
    sample = text if len(text) <= _SAMPLE else text[:_SAMPLE]
    script = _main_script(sample)
    if script == "arabic":
        return "fa" if len(_PERSIAN.findall(sample)) * 50 > len(sample) else "ar"
    if script != "latin":
        return _LANGUAGE_OF_SCRIPT.get(script, "")
    words = [_fold(w) for w in _WORD.findall(unicodedata.normalize("NFKC", sample).casefold())]
    votes = {code: sum(w in STOP_WORDS[code] for w in words) for code in _LATIN if code in STOP_WORDS}
    ranked = sorted(votes.items(), key=lambda item: (-item[1], _LATIN.index(item[0])))
    (first, most), (_, next_most) = ranked[0], ranked[1]
    if most > next_most and (most >= 2 or len(sample) < _SURE_FROM):
        return first
    if len(sample) < _SURE_FROM and len(words) < 4:
        return ""
    return _statistics(sample)


def fold(word: str) -> str:
    """`word`, in lower case already, as STOP_WORDS has it."""
    return _fold(word)


def stem(word: str, language: str) -> str:
    """The token of one word, a stop word too."""
    word = unicodedata.normalize("NFKC", word).casefold()
    return _stem(word, _fold(word), language)


def _tokens(text: str, language: str) -> Iterator[str]:
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        yield from _tokens_of(word, language)


@lru_cache(maxsize=65536)
def _tokens_of(word: str, language: str) -> tuple[str, ...]:
    """Of one word: none where it is a stop word, several where its script has no spaces."""
    if _PAIRED_RUN.search(word):
        return tuple(_pairs(word, language))
    folded = _fold(word)
    return () if folded in STOP_WORDS.get(language, frozenset()) else (_stem(word, folded, language),)


def _pairs(word: str, language: str) -> Iterator[str]:
    """Runs of paired scripts as overlapping pairs; what stands between them as words."""
    at = 0
    while at < len(word):
        paired = bool(_PAIRED_RUN.match(word[at]))
        end = at + 1
        while end < len(word) and bool(_PAIRED_RUN.match(word[end])) == paired:
            end += 1
        run = word[at:end]
        if not paired:
            yield _stem(run, _fold(run), language)
        elif len(run) == 1:
            yield run
        else:
            stop = STOP_WORDS["zh"]
            yield from (run[i : i + 2] for i in range(len(run) - 1) if run[i : i + 2] not in stop)
        at = end


@lru_cache(maxsize=65536)
def _stem(word: str, folded: str, language: str) -> str:
    script = _script(word)
    if script == "latin":
        code = language if language in _LATIN else "en"
        stemmed = _stemmer(code).stemWord(folded) if code in _STEMMERS else folded
    elif script:
        default = _LANGUAGE_OF_SCRIPT[script]
        code = language if language in _OTHERS_OF_SCRIPT.get(script, ()) else default
        # other stemmers know their diacritics; fold after them
        stemmed = _fold(_stemmer(code).stemWord(word)) if code in _STEMMERS else folded
    else:
        stemmed = folded
    kept = "".join(_WORD.findall(stemmed))
    return kept or folded


def _fold(word: str) -> str:
    """Without diacritics where they are optional in writing; й and the like stay whole."""
    if word.isascii():
        return word
    if _script(word) in ("latin", "greek", "arabic", "hebrew"):
        word = _FOLDED_MARKS.sub("", unicodedata.normalize("NFD", word))
        return unicodedata.normalize("NFC", word)
    return word


def _script(word: str) -> str:
    return next((name for name, pattern in _SCRIPTS if pattern.search(word)), "")


def _main_script(text: str) -> str:
    """The script most of the letters are in. Kana decides for Japanese, since it also writes Han."""
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS}
    if counts["kana"] * 5 > counts["han"] > 0:
        counts["kana"] += counts["han"]
    counts["han"] *= 3  # one character is about a word
    counts["kana"] *= 3
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def _stemmer(code: str) -> Any:
    """One a thread and language: PyStemmer's objects are not safe to share."""
    import Stemmer

    stemmers = _local.__dict__.setdefault("stemmers", {})
    if code not in stemmers:
        stemmers[code] = Stemmer.Stemmer(_STEMMERS[code], 0)
    return stemmers[code]


_identifier_lock = threading.Lock()


def _statistics(text: str) -> str:
    with _identifier_lock:
        return str(_identifier().classify(text)[0])


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid import langid

    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    identifier.set_languages(_LATIN)
    return identifier
