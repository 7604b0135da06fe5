"""When something said is about: "last May", "vor drei Tagen", "el 3 de mayo", "下周", "قبل أسبوعين".

Invariant: pure. What is found is a stretch of whole days [start, end), told from the day on which it was said; a
date without a year is the one nearest to that day. Words that name no time give nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

DAY = timedelta(days=1)
Stretch = tuple[date, date]
Tell = Callable[["re.Match[str]", date], "Stretch | None"]


@dataclass(frozen=True, slots=True)
class Said:
    """A time that was named at `begin`..`stop` of the text."""

    start: datetime
    end: datetime
    begin: int
    stop: int

    @property
    def days(self) -> int:
        return (self.end - self.start).days


_MONTHS: Mapping[str, str] = {
    "en": "january|jan february|feb march|mar april|apr may june|jun july|jul august|aug september|sept|sep "
    "october|oct november|nov december|dec",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre|setiembre octubre noviembre diciembre",
    "de": "januar|jänner februar märz april mai juni juli august september oktober november dezember",
    "ar": "يناير|كانون_الثاني فبراير|شباط مارس|آذار أبريل|ابريل|نيسان مايو|أيار|ماي يونيو|حزيران يوليو|تموز "
    "أغسطس|اغسطس|آب سبتمبر|أيلول أكتوبر|اكتوبر|تشرين_الأول نوفمبر|تشرين_الثاني ديسمبر|كانون_الأول",
}
_WEEKDAYS: Mapping[str, str] = {
    "en": "monday tuesday wednesday thursday friday saturday sunday",
    "es": "lunes martes miércoles|miercoles jueves viernes sábado|sabado domingo",
    "de": "montag dienstag mittwoch donnerstag freitag samstag|sonnabend sonntag",
    "ar": "الاثنين|الإثنين الثلاثاء الأربعاء|الاربعاء الخميس الجمعة السبت الأحد|الاحد",
}
_NUMBERS: Mapping[str, str] = {
    "en": "a|an|one two|a_couple_of three|a_few four five six seven eight nine ten eleven twelve",
    "es": "un|una|uno dos|un_par_de tres cuatro cinco seis siete ocho nueve diez once doce",
    "de": "ein|eine|einem|einer|einen zwei|ein_paar drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "zh": "一 二|两 三|几 四 五 六 七 八 九 十 十一 十二",
    "ar": "واحد|واحدة اثنين|اثنان ثلاثة|ثلاث أربعة|أربع خمسة|خمس ستة|ست سبعة|سبع ثمانية|ثماني تسعة|تسع "
    "عشرة|عشر أحد_عشر اثني_عشر",
}
_UNITS: Mapping[str, Mapping[str, str]] = {
    "en": {"days?": "d", "weeks?": "w", "months?": "m", "years?": "y"},
    "es": {"días?|dias?": "d", "semanas?": "w", "mes(?:es)?": "m", "años?": "y"},
    "de": {"tag(?:en?)?": "d", "wochen?": "w", "monat(?:en?)?": "m", "jahr(?:en?)?": "y"},
    "ar": {"أيام|يوم|يوما|يومين": "d", "أسابيع|أسبوع|أسبوعين|اسبوع": "w", "أشهر|شهر|شهرين|شهور": "m"}
    | {"سنوات|سنة|سنتين|أعوام|عام|عامين": "y"},
}
#: of each language: days by their own word, before (last ...) and after (next ...), ago and in
_DAYS: Mapping[str, Mapping[str, int]] = {
    "en": {
        "the day before yesterday": -2,
        "yesterday|last night": -1,
        "today|tonight|this (?:morning|afternoon|evening)": 0,
        "the day after tomorrow": 2,
        "tomorrow": 1,
    },
    "es": {"anteayer|antier": -2, "ayer|anoche": -1, "hoy|esta (?:mañana|tarde|noche)": 0, "pasado mañana": 2}
    | {"(?<!esta )(?<!por la )(?<!de la )mañana": 1},
    "de": {"vorgestern": -2, "gestern": -1, "heute": 0, "übermorgen": 2}
    | {"(?<!guten )(?<!heute )(?<!am )(?<!jeden )\\bmorgen\\b": 1},
    "zh": {"前天": -2, "昨天|昨晚|昨日": -1, "今天|今晚|今早|今日": 0, "后天": 2, "明天|明晚|明日": 1},
    "ar": {"أول أمس|أول من أمس": -2, "أمس|البارحة": -1, "اليوم|هذا المساء|هذا الصباح": 0, "بعد غد": 2}
    | {"غدا|غدًا|غداً": 1},
}
_AROUND: Mapping[str, Mapping[str, tuple[str, int]]] = {
    "en": {
        "last week(?!end)": ("w", -1),
        "this week(?!end)": ("w", 0),
        "next week(?!end)": ("w", 1),
        "last weekend|(?:this|the) past weekend": ("e", -1),
        "this weekend": ("e", 0),
        "next weekend": ("e", 1),
        "last month": ("m", -1),
        "this month": ("m", 0),
        "next month": ("m", 1),
        "last year": ("y", -1),
        "this year": ("y", 0),
        "next year": ("y", 1),
    },
    "es": {
        "la semana pasada": ("w", -1),
        "esta semana": ("w", 0),
        "la (?:semana (?:que viene|próxima)|próxima semana)": ("w", 1),
        "el mes pasado": ("m", -1),
        "este mes": ("m", 0),
        "el (?:mes que viene|próximo mes|mes próximo)": ("m", 1),
        "el año pasado": ("y", -1),
        "este año": ("y", 0),
        "el (?:año que viene|próximo año|año próximo)": ("y", 1),
        "el fin de semana pasado": ("e", -1),
    },
    "de": {
        "(?:letzte|vorige|vergangene)[rn]? woche": ("w", -1),
        "diese[rn]? woche": ("w", 0),
        "(?:nächste|kommende)[rn]? woche": ("w", 1),
        "(?:letzte|vorige|vergangene)[nms]? monat": ("m", -1),
        "diese[nms]? monat": ("m", 0),
        "(?:nächste|kommende)[nms]? monat": ("m", 1),
        "(?:letzte|voriges|vergangene)[nms]? jahr": ("y", -1),
        "diese[ms]? jahr": ("y", 0),
        "(?:nächste|kommende)[nms]? jahr": ("y", 1),
        "(?:letzte|vergangene)[ns]? wochenende": ("e", -1),
    },
    "zh": {
        "上(?:个)?(?:周|星期|礼拜)(?![一二三四五六日天末])": ("w", -1),
        "(?:这|本)(?:个)?(?:周|星期|礼拜)(?![一二三四五六日天末])": ("w", 0),
        "下(?:个)?(?:周|星期|礼拜)(?![一二三四五六日天末])": ("w", 1),
        "上(?:个)?周末": ("e", -1),
        "上个?月": ("m", -1),
        "(?:这个|本)月": ("m", 0),
        "下个?月": ("m", 1),
        "去年": ("y", -1),
        "今年": ("y", 0),
        "明年": ("y", 1),
    },
    "ar": {
        "الأسبوع (?:الماضي|الفائت)": ("w", -1),
        "هذا الأسبوع": ("w", 0),
        "الأسبوع (?:القادم|المقبل)": ("w", 1),
        "الشهر (?:الماضي|الفائت)": ("m", -1),
        "هذا الشهر": ("m", 0),
        "الشهر (?:القادم|المقبل)": ("m", 1),
        "(?:السنة الماضية|العام الماضي)": ("y", -1),
        "(?:هذه السنة|هذا العام)": ("y", 0),
        "(?:السنة القادمة|السنة المقبلة|العام القادم|العام المقبل)": ("y", 1),
    },
}
#: around a number with its unit: what makes it past, what makes it future
_AGO: Mapping[str, tuple[str, str]] = {
    "en": ("{n} {u} ago", "(?:in|within) {n} {u}"),
    "es": ("hace {n} {u}", "(?:en|dentro de) {n} {u}"),
    "de": ("vor {n} {u}", "in {n} {u}"),
    "ar": ("(?:قبل|منذ) {n} {u}", "(?:بعد|خلال) {n} {u}"),
}
#: before a weekday or month: the one before, the one after
_WHICH: Mapping[str, tuple[str, str]] = {
    "en": ("last |this past ", "next |this coming "),
    "es": ("(?:el |la )?pasado ", "(?:el )?próximo "),
    "de": ("letzte[nr]? |vorige[nr]? |vergangene[nr]? ", "nächste[nr]? |kommende[nr]? "),
    "ar": ("", ""),
}
_DATE: Mapping[str, Sequence[str]] = {
    "en": (
        r"(?P<m>{m})\.? (?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,? (?P<y>\d{{4}}))?",
        r"(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<m>{m})\b(?:,? (?P<y>\d{{4}}))?",
    ),
    "es": (r"(?P<d>\d{{1,2}}) de (?P<m>{m})(?: (?:de|del) (?P<y>\d{{4}}))?",),
    "de": (r"(?P<d>\d{{1,2}})\. ?(?P<m>{m})(?: (?P<y>\d{{4}}))?",),
    "ar": (r"(?P<d>\d{{1,2}}) (?P<m>{m})(?: (?P<y>\d{{4}}))?",),
}
#: a month alone needs a word before it: "may", "mars", "march" are other words too
_MONTH_ALONE: Mapping[str, str] = {
    "en": r"(?:(?P<past>last |since )|(?P<next>next |by |until )|in |of |during |early |late |mid-?)"
    r"(?P<m>{m})\b(?:,? (?P<y>\d{{4}})\b|(?! \d))",
    "es": r"(?:en|(?P<since>desde)|(?P<next>hasta|para|antes de)|de) (?P<m>{m})"
    r"(?: (?:de|del) (?P<y>\d{{4}}))?(?P<past> pasado)?",
    "de": r"(?:im |ab |(?P<past>letzten |seit )|(?P<next>nächsten |bis (?:zum |ende )?))(?P<m>{m})(?: (?P<y>\d{{4}}))?",
    "ar": r"(?:في|(?P<past>منذ)|(?P<next>حتى)) (?:شهر )?(?P<m>{m})(?: (?P<y>\d{{4}}))?",
}
_ARABIC_DIGITS = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "01234567890123456789")
_ZH_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九十")} | {"两": 2, "几": 3}


def find(text: str, said: datetime, language: str = "") -> list[Said]:
    """The times that `text`, said at `said`, names; in all five languages where none is given."""
    low = text.lower().translate(_ARABIC_DIGITS)
    if len(low) != len(text):  # a letter whose small form is longer: places would be off
        low = text.translate(_ARABIC_DIGITS)
    base = said.astimezone(UTC).date()
    taken = bytearray(len(low))
    out: list[Said] = []
    for pattern, tell in _patterns(language if language in (*_DAYS,) else ""):
        for match in pattern.finditer(low):
            if any(taken[match.start() : match.end()]):
                continue
            stretch = tell(match, base)
            if stretch is not None:
                taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
                out.append(Said(_moment(stretch[0]), _moment(stretch[1]), match.start(), match.end()))
    return sorted(out, key=lambda s: s.begin)


def _moment(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


# -- stretches --------------------------------------------------------------------------------------------


def _day(day: date) -> Stretch:
    return day, day + DAY


def _unit(unit: str, base: date, by: int) -> Stretch | None:
    """The day, week, weekend, month or year that lies `by` of them from the one of `base`."""
    try:
        if unit == "d":
            return _day(base + by * DAY)
        if unit in "we":
            monday = base - base.weekday() * DAY + 7 * by * DAY
            return (monday + 5 * DAY, monday + 7 * DAY) if unit == "e" else (monday, monday + 7 * DAY)
        if unit == "m":
            return _month(*_months_on(base, by))
        return date(base.year + by, 1, 1), date(base.year + by + 1, 1, 1)
    except (ValueError, OverflowError):
        return None


def _away(unit: str, base: date, by: int) -> Stretch | None:
    """So many units from `base`, as loosely as it is said: a day, a week around it, a month, a year."""
    try:
        if unit == "d":
            return _day(base + by * DAY)
        if unit == "w":
            middle = base + 7 * by * DAY
            return middle - 3 * DAY, middle + 4 * DAY
        return _unit(unit, base, by)
    except (ValueError, OverflowError):
        return None


def _months_on(base: date, by: int) -> tuple[int, int]:
    at = base.year * 12 + base.month - 1 + by
    return at // 12, at % 12 + 1


def _month(year: int, month: int) -> Stretch:
    return date(year, month, 1), date(year + month // 12, month % 12 + 1, 1)


def _dated(base: date, year: str | None, month: int, day: int | None) -> Stretch | None:
    """A day or a month; without a year the nearest one."""
    try:
        if year:
            return _day(date(int(year), month, day)) if day else _month(int(year), month)
        near = [date(base.year + by, month, day or 15) for by in (-1, 0, 1) if not (month == 2 and day == 29)]
        best = min(near, key=lambda d: abs((d - base).days))
        return _day(best) if day else _month(best.year, month)
    except ValueError:
        return None


def _month_said(base: date, year: str | None, month: int, past: bool, after: bool) -> Stretch | None:
    if past or after:
        ahead = (month - base.month) % 12
        return _unit("m", base, ahead if after else (ahead or 12) - 12 or -12)
    return _dated(base, year, month, None)


def _weekday(base: date, weekday: int, past: bool, after: bool) -> Stretch:
    ahead = (weekday - base.weekday()) % 7
    if past:
        return _day(base + (ahead - 7) * DAY)
    if after:
        return _day(base + (ahead or 7) * DAY)
    return _day(base + (ahead if ahead <= 3 else ahead - 7) * DAY)


# -- patterns ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _patterns(language: str) -> list[tuple[re.Pattern[str], Tell]]:
    """The longest and surest first; what one has taken no other reads."""
    out: list[tuple[re.Pattern[str], Tell]] = [
        (re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)"), lambda m, b: _dated(b, m[1], int(m[2]), int(m[3]))),
        (re.compile(r"(?<!\d)(\d{1,2})\.(\d{1,2})\.(\d{4})(?!\d)"), lambda m, b: _dated(b, m[3], int(m[2]), int(m[1]))),
    ]
    for code in [language] if language else list(_DAYS):
        out += _chinese() if code == "zh" else _spaced(code)
        out += [(_whole(w, code), _fixed("d", by)) for w, by in _DAYS[code].items()]
        out += [(_whole(w, code), _fixed(unit, by)) for w, (unit, by) in _AROUND[code].items()]
    return out


def _whole(words: str, code: str) -> re.Pattern[str]:
    return re.compile(words if code == "zh" else rf"(?<!\w)(?:{words})(?!\w)")


def _fixed(unit: str, by: int) -> Tell:
    return lambda _, base: _unit(unit, base, by)


def _spaced(code: str) -> list[tuple[re.Pattern[str], Tell]]:
    months, days = _names(_MONTHS[code]), _names(_WEEKDAYS[code])
    numbers, units = _names(_NUMBERS[code]), _UNITS[code]
    any_month = "|".join(sorted(months, key=len, reverse=True))
    out: list[tuple[re.Pattern[str], Tell]] = []

    def dated(m: re.Match[str], base: date) -> Stretch | None:
        return _dated(base, m["y"], months[m["m"]], int(m["d"]))

    def alone(m: re.Match[str], base: date) -> Stretch | None:
        got = m.groupdict()
        past, after = bool(got.get("past") or got.get("since")), bool(got.get("next"))
        return _month_said(base, got["y"], months[got["m"]], past and not got["y"], after and not got["y"])

    out += [(_whole(p.format(m=any_month), code), dated) for p in _DATE[code]]
    out.append((_whole(_MONTH_ALONE[code].format(m=any_month), code), alone))
    for side, pattern in zip((-1, 1), _AGO[code], strict=True):
        number = rf"(?P<n>\d{{1,3}}|{'|'.join(sorted(numbers, key=len, reverse=True))})"
        for unit, kind in units.items():
            shape = pattern.format(n=number, u=rf"(?:{unit})")
            out.append((_whole(shape, code), _counted(numbers, kind, side)))
            if code == "ar":  # the number stands in the word: a week, two weeks
                lone = pattern.format(n="", u=rf"(?P<u>{unit})").replace("  ", " ")
                out.append((_whole(lone, code), _dual(kind, side)))
    before, after = _WHICH[code]
    lead = f"(?:(?P<past>{before})|(?P<next>{after}))?" if before else "(?:يوم )?"
    tail = r"(?P<late> pasado| الماضي)?(?P<soon> que viene| القادم| المقبل)?"
    pattern = rf"{lead}(?P<w>{'|'.join(sorted(days, key=len, reverse=True))}){tail}"

    def weekday(m: re.Match[str], base: date) -> Stretch | None:
        got = m.groupdict()
        past, soon = got.get("past") or got.get("late"), got.get("next") or got.get("soon")
        return _weekday(base, days[m["w"]] - 1, bool(past), bool(soon))

    out.append((_whole(pattern, code), weekday))
    return out


def _counted(numbers: Mapping[str, int], kind: str, side: int) -> Tell:
    def tell(m: re.Match[str], base: date) -> Stretch | None:
        return _away(kind, base, side * (int(m["n"]) if m["n"].isdigit() else numbers[m["n"]]))

    return tell


def _dual(kind: str, side: int) -> Tell:
    return lambda m, base: _away(kind, base, side * (2 if m["u"].endswith("ين") else 1))


def _chinese() -> list[tuple[re.Pattern[str], Tell]]:
    number = r"(\d{1,3}|[一二两三四五六七八九十几]{1,3})"
    units = {"天": "d", "(?:个)?(?:周|星期|礼拜)": "w", "个月": "m", "年": "y"}
    out: list[tuple[re.Pattern[str], Tell]] = [
        (
            re.compile(r"(?:(\d{4})年)?(\d{1,2})月(\d{1,2})[日号]"),
            lambda m, b: _dated(b, m[1], int(m[2]), int(m[3])),
        ),
        (re.compile(r"(?:(\d{4})年)?(?<!\d)(\d{1,2})月(?!\d)"), lambda m, b: _dated(b, m[1], int(m[2]), None)),
        (
            re.compile(r"(上|下|这)?(?:个)?(?:周|星期|礼拜)([一二三四五六日天])"),
            lambda m, b: _chinese_weekday(b, m[1], m[2]),
        ),
    ]
    for word, kind in units.items():
        out.append((re.compile(f"{number}{word}(?:以)?前"), _chinese_counted(kind, -1)))
        out.append((re.compile(f"{number}{word}(?:以|之)?后"), _chinese_counted(kind, 1)))
    return out


def _chinese_counted(kind: str, side: int) -> Tell:
    return lambda m, base: _away(kind, base, side * _chinese_number(m[1]))


def _chinese_number(word: str) -> int:
    if word.isdigit():
        return int(word)
    if "十" in word:
        tens, _, ones = word.partition("十")
        return 10 * (_ZH_DIGITS.get(tens, 1) if tens else 1) + (_ZH_DIGITS.get(ones, 0) if ones else 0)
    return _ZH_DIGITS.get(word[0], 1)


def _chinese_weekday(base: date, which: str | None, day: str) -> Stretch | None:
    weekday = 6 if day in "日天" else _ZH_DIGITS[day] - 1
    if which is None:
        return _weekday(base, weekday, False, False)
    monday = base - base.weekday() * DAY + {"上": -7, "这": 0, "下": 7}[which] * DAY
    return _day(monday + weekday * DAY)


def _names(words: str) -> dict[str, int]:
    return {n.replace("_", " "): at for at, names in enumerate(words.split(), 1) for n in names.split("|")}
