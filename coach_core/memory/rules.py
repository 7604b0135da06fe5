"""Facts in what somebody typed, by rules: goals, challenges, progress, preferences, facts of life, events.

Invariant: pure. A fact is one clause of the person's own, in the first person or about the client by name or
pronoun; questions, wishes to the app, what-ifs and what repeats somebody else's words give none.
"""

# ruff: noqa: E501 - patterns are read more easily whole
from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from coach_core.memory import said
from coach_core.search import dates_said, words
from coach_core.types import Candidate, MemoryKind

LANGUAGES = ("en", "es", "de", "zh", "ar")
_LONGEST = 300
_MOST = 8  # facts of one message
_IMPORTANCE: Mapping[MemoryKind, float] = {
    "goal": 0.8,
    "challenge": 0.7,
    "progress": 0.6,
    "fact": 0.6,
    "event": 0.5,
    "preference": 0.4,
}
#: {S} is who is spoken of; in order, the first that fits names the kind
_RULES: Mapping[str, tuple[tuple[MemoryKind, str], ...]] = {
    "en": (
        (
            "goal",
            r"\b{S}(?:'d| would)? (?:\w+ly |also |still |now |just |actually |even )*(?:(?:want|wants|wanted|like|love"
            r"|hope|hopes|plan|plans|aim|aims|intend|intends|wish|wishes|decided|decide|dream|dreams) (?:to|of)"
            r"|(?:'m|am|is|are|'re|'s|have been|'ve been|has been) (?:\w+ly |also |still |now )*(?:planning|hoping|aiming"
            r"|trying|working|training|preparing|saving|thinking|determined|considering)"
            r" ?(?:to|for|towards|on|of|about|\w+ing))\b"
            r"|\b(?:my|{P}) (?:main |big |next |new |biggest )?(?:goal|aim|dream|ambition|target|resolution|plan)s? (?:is|are|for)\b",
        ),
        (
            "challenge",
            r"\b{S}(?:'ve|'m|'s| have| has| am| is| are| been| still| often| always| really| just| also| do)* "
            r"(?:struggl\w+|procrastinat\w+|find(?:s)? (?:it|\w+ing) (?:\w+ )?(?:hard|difficult|tough|impossible)"
            r"|(?:feel|feels|feeling|felt|get|am|is|been)? ?(?:\w+ ){{0,3}}?(?:afraid|scared|anxious|nervous|worried"
            r"|overwhelmed|stressed|stuck|lonely|burn(?:ed|t)[ -]?out|exhausted|frustrated|hopeless|helpless|discouraged"
            r"|unmotivated|insecure|under (?:a lot of )?pressure|ashamed|tired|lost|confused)"
            r"|(?:have|having|has|had) (?:a hard time|trouble|difficult\w+|problems?|issues?)"
            r"|(?:can't|cannot|can not|couldn't) (?:\w+ )?(?:sleep|focus|concentrate|stop|manage|seem|cope|say no|decide|relax|keep)"
            r"|(?:keep|keeps) (?:failing|forgetting|putting|worrying|losing|making)"
            r"|(?:don't|doesn't|do not) know (?:how|what|where|whether|if))"
            r"|\b(?:my|{P}) (?:biggest |main )?(?:problem|challenge|difficulty|fear|obstacle|worry|struggle)s? (?:is|are)\b",
        ),
        (
            "progress",
            r"\b{S}(?:'ve|'s| have| has)? (?:\w+ly |also |already |just |now |even )*(?:managed to|succeeded|achieved"
            r"|completed|finished|accomplished|overcame|overcome|passed|made (?:good |great |some |a lot of )?progress"
            r"|got (?:promoted|the job|an? (?:offer|promotion|job|interview))|reached|lost \d|gained|quit|stopped|started"
            r"|began|begun|signed up|registered|enrolled|applied|ran \d|run \d|walked \d|improved|stuck to|kept to|learned"
            r"|learnt|did (?:my|all|the) (?:homework|exercises?)|(?:'m|am|is) (?:so |very )?proud)\b"
            r"|\b{S} .{{0,60}}\bfor the first time\b",
        ),
        (
            "preference",
            r"\b{S} (?:\w+ly |also |still |just |quite |do |don't |doesn't |do not |does not )*(?:like|likes|love|loves|enjoy"
            r"|enjoys|prefer|prefers|hate|hates|dislike|dislikes|adore|adores)\b(?! (?:that|it|this|your|the idea|how)\b)"
            r"|\b{S} (?:can't stand|'d rather|would rather)\b|\b{S}(?:'m|'s| am| is) (?:not )?(?:\w+ )?(?:fond of|a (?:big )?fan of"
            r"|interested in|passionate about|obsessed with)|\b(?:my|{P}) (?:all-time )?favou?rite\b",
        ),
        (
            "fact",
            r"\b{S} (?:\w+ly |also |still |now |just |have |has )*(?:live|lives|moved|was born|grew up|work|works|study"
            r"|studies|speak|speaks) (?:to|in|at|as|for|with|near|on|from|\w+)\b"
            r"|\b{S}(?:'m|'s| am| is| have been| has been) (?:now |also |still )?(?:from |an? |the (?:head|manager|lead|director|owner)"
            r"|\d\d(?: years)?\b|married|single|divorced|engaged|widowed|retired|unemployed|pregnant|vegetarian|vegan|diabetic"
            r"|allergic|left-handed|self-employed)"
            r"|\b{S}(?:'ve| have| has)(?: got)? (?:an?|one|two|three|four|five|\d+|no) (?:\w+ ){{0,2}}(?:kids?|child|children|sons?"
            r"|daughters?|brothers?|sisters?|dogs?|cats?|husband|wife|partner|girlfriend|boyfriend|team|company|business"
            r"|allergy|condition|job|group)\b"
            r"|\b(?:my|{P}) (?:name|wife|husband|partner|girlfriend|boyfriend|son|daughter|kids|children|mother|mum|mom|father"
            r"|dad|brother|sister|boss|manager|team|company|job|birthday|dog|cat|doctor|trainer|coach)\b"
            r".{{0,40}}\b(?:is|are|has|have|works?|lives?|was|were|called|named)\b|\bcall me \w+",
        ),
        (
            "event",
            r"\b{S} (?:\w+ly |also |just |have |has )*(?:went|met|visited|attended|saw|bought|travelled|traveled|flew|broke up"
            r"|got (?:married|fired|divorced|engaged|sick|ill|injured)|was fired|lost my|had an? |have an? |has an? |watched|read"
            r"|made|cooked|tried|found|adopted|sold|celebrated|spoke|talked)\b",
        ),
    ),
    "es": (
        (
            "goal",
            r"\b(?:quiero|quiere|quisiera|me gustaría|le gustaría|espero|espera|planeo|planea|pretendo|intento|he decidido"
            r"|ha decidido|decidí|sueño con|sueña con|tengo (?:pensado|planeado)|voy a (?:empezar|dejar|intentar|aprender|correr"
            r"|buscar)|estoy (?:planeando|intentando|tratando|preparando|ahorrando|pensando en))\b"
            r"|\b(?:mi|su) (?:gran |próxim[oa] |principal )?(?:objetivo|meta|sueño|propósito|plan) (?:es|son|para)\b",
        ),
        (
            "challenge",
            r"\b(?:me|le) (?:cuesta|preocupa|agobia|estresa|da miedo|resulta (?:muy )?difícil|siento (?:muy |un poco )?(?:mal|sol[oa]"
            r"|perdid[oa]|estresad[oa]|ansios[oa]|agobiad[oa]|trist[e]|agotad[oa]|bloquead[oa]))"
            r"|\b(?:tengo|tiene) (?:miedo|problemas?|dificultad(?:es)?|ansiedad|mucho estrés|mucha presión)"
            r"|\best(?:oy|á) (?:muy |un poco |tan |bastante )?(?:estresad|agobiad|ansios|preocupad|cansad|agotad|perdid|bloquead"
            r"|nervios|frustrad|desmotivad)[oa]|\bno (?:puedo|consigo|logro|puede|consigue|logra) \w+|\bno sé (?:cómo|qué)"
            r"|\b(?:mi|su) (?:mayor |principal |gran )?(?:problema|reto|miedo|dificultad|desafío) es\b",
        ),
        (
            "progress",
            r"\b(?:he|ha|por fin he|ya he) (?:\w+ )?(?:conseguido|logrado|terminado|acabado|empezado|comenzado|dejado|aprobado"
            r"|mejorado|superado|completado|alcanzado|aprendido|corrido|perdido \d+)\b|\b(?:logré|conseguí|terminé|empecé|comencé"
            r"|dejé de|aprobé|mejoré|superé|completé|alcancé|aprendí|corrí|perdí \d+|me ascendieron)\b|\bpor primera vez\b",
        ),
        (
            "preference",
            r"\b(?:no )?(?:me|le) (?:gusta|gustan|encanta|encantan|interesa|interesan|apasiona|fascina)\b|\b(?:prefiero|prefiere"
            r"|odio|odia|detesto|adoro|disfruto|disfruta)\b|\b(?:mi|su)s? \w+ favorit[oa]s?\b",
        ),
        (
            "fact",
            r"\b(?:vivo|vive) en\b|\b(?:trabajo|trabaja) (?:como|en|de|para)\b|\bme (?:mudé|he mudado|llamo)\b|\bse ha mudado\b"
            r"|\bsoy (?:un|una|de|médic|profesor|ingenier|enfermer|abogad|alérgic|vegetarian|vegan|diabétic|mad|pad|solter|autónom)"
            r"|\b(?:tengo|tiene) (?:un|una|dos|tres|cuatro|\d+) (?:hij|herman|perr|gat|años|niñ|soci|empresa|nietos?)"
            r"|\best(?:oy|á) (?:casad|divorciad|solter|jubilad|embarazad|separad)",
        ),
        (
            "event",
            r"\b(?:fui|fue|tuve|tuvo|tengo|tiene|conocí|visité|viajé|compré|vi|hice|estuve|hablé|asistí|me casé|voy|celebré"
            r"|encontré|perdí)\b",
        ),
    ),
    "de": (
        (
            "goal",
            r"\b(?:{S} )?(?:will|möchte|würde (?:so |sehr |wirklich )?gerne?|plane|plant|hoffe|hofft|beabsichtige|träume|träumt"
            r"|versuche|versucht|wünsche mir|wünscht sich) (?:{S} )?(?!wissen|fragen)\w+"
            r"|\b{S} (?:habe?|hat) (?:mir |sich )?(?:fest |jetzt |mich )?(?:vor\b|vorgenommen|entschieden|entschlossen|beschlossen)"
            r"|\b(?:mein|ihr|sein) (?:großes |größtes |nächstes |neues )?(?:ziel|traum|vorsatz|plan|vorhaben) (?:ist|wäre|für)\b",
        ),
        (
            "challenge",
            r"\bfällt (?:es )?(?:mir|ihr|ihm)\b.{{0,30}}\bschwer|\b(?:habe|hat) (?:{S} )?(?:oft |große |so |viel |immer |ein |wieder )*"
            r"(?:angst|probleme?|schwierigkeiten|mühe|stress|sorgen|druck)\b|\b{S} (?:kann|schaffe|schafft|komme|kommt)\b.{{0,30}}"
            r"\bnicht\b|\b(?:bin|ist|fühle mich|fühlt sich) (?:{S} )?(?:\w+ ){{0,2}}(?:gestresst|überfordert|ängstlich|nervös|müde"
            r"|erschöpft|einsam|verloren|frustriert|blockiert|ausgebrannt|unsicher|unmotiviert|besorgt|traurig)|\bmache? mir sorgen"
            r"|\bmacht (?:sich|mir) (?:sorgen|angst)|\bbelastet mich|\b{S} kämpfe?t? (?:mit|gegen)\b|\bweiß (?:{S} )?nicht,? (?:wie|was)"
            r"|\b(?:mein|ihr|sein)e? (?:größtes? )?(?:problem|angst|herausforderung|schwierigkeit) ist\b",
        ),
        (
            "progress",
            r"\b(?:habe|hat|bin|ist)\b.{{0,80}}\b(?:geschafft|abgeschlossen|beendet|erreicht|angefangen|begonnen|aufgehört"
            r"|abgenommen|bestanden|verbessert|gelernt|durchgehalten|fertig|befördert worden|gelaufen|angemeldet|beworben|gekündigt"
            r"|überwunden)\b|\bzum ersten mal\b|\bstolz\b",
        ),
        (
            "preference",
            r"\b{S} (?:mag|liebe|liebt|hasse|hasst|bevorzuge|bevorzugt)\b|\b(?:{S} \w+|\w+ {S}) (?:\w+ ){{0,4}}?(?:gerne?|am liebsten"
            r"|lieber|ungern)\b|\b(?:mir|ihr|ihm) gef(?:ällt|allen)\b|\b(?:mein|ihr|sein)e? lieblings\w+",
        ),
        (
            "fact",
            r"\b{S} (?:wohne|wohnt|lebe|lebt|arbeite|arbeitet|heiße|heißt|studiere|studiert|komme aus|kommt aus)\b|\b(?:wohne|lebe"
            r"|arbeite) {S}\b|\b(?:bin|ist) (?:{S} )?(?:\w+ ){{0,4}}?(?:nach \w+ gezogen|umgezogen|verheiratet|geschieden|ledig|schwanger"
            r"|arbeitslos|selbstständig|selbständig|vegetarier\w*|veganer\w*|\d\d jahre|von beruf|lehrer\w*|ärzt\w*|arzt|ingenieur\w*"
            r"|krankenpfleger\w*|allergisch)|\b(?:habe|hat) (?:{S} )?(?:einen?|zwei|drei|vier|\d+|keine) (?:\w+ )?(?:sohn|söhne|tochter"
            r"|töchter|kind|kinder|hund|katze|bruder|schwester|geschwister|firma|team)"
            r"|\bmeine? (?:frau|mann|partner\w*|sohn|tochter|kinder|mutter|vater|chef\w*|bruder|schwester)\b.{{0,40}}\b(?:ist|sind|hat|heißt"
            r"|arbeitet|wohnt|war)\b",
        ),
        (
            "event",
            r"\b(?:war|habe|hat|bin|ist|gehe|geht|fahre|fliege|treffe|traf|besuchte|ging|hatte) (?:{S}|\w+)|\b{S} (?:war|habe|hat|bin|ist"
            r"|gehe|geht|fahre|fliege|treffe|traf|besuchte|ging|hatte)\b",
        ),
    ),
    "zh": (
        (
            "goal",
            r"{S}(?:真的|很|也|现在|还|一直|特别|非常|正|今年|明年|下个?月)*(?:想要?|希望|打算|计划|决定|准备|梦想)"
            r"(?!知道|问|请|请问|聊|和你|跟你|告诉|分享|听|了解一下|说)|{S}的(?:目标|梦想|计划|愿望)(?:是|就是)",
        ),
        (
            "challenge",
            r"{S}(?:很|有点|有些|总是|一直|最近|觉得|感到|感觉|常常|真的|特别|非常|又|今天|的)*(?:害怕|怕|担心|焦虑|紧张|压力|睡不着|做不到|坚持不"
            r"|拖延|迷茫|孤独|疲惫|难过|沮丧|失眠|烦|累|困难|不知道(?:怎么|该)|不会拒绝|没有动力|无助|自卑)|(?:让|令){S}(?:很|感到)?(?:焦虑|担心"
            r"|害怕|难过|压力)|{S}的(?:问题|困难|挑战|烦恼)是|{S}.{{0,6}}(?:压力(?:很|太)大|遇到了?.{{0,6}}(?:困难|问题|麻烦))",
        ),
        (
            "progress",
            r"{S}.{{0,14}}(?:终于|已经)?.{{0,10}}(?:完成了|做到了|坚持了|坚持下来|成功|学会了|开始了?|戒了|减了|瘦了|跑了|通过了|进步了|升职|达到了"
            r"|克服了)|{S}.{{0,12}}第一次|第一次.{{0,12}}{S}",
        ),
        (
            "preference",
            r"{S}(?:很|最|非常|也|不|更|特别|平时|一直|都|从小|比较|不太)*(?:喜欢|爱(?!人)|讨厌|偏爱|热爱|爱好|不爱)",
        ),
        (
            "fact",
            r"{S}(?:现在|一直|目前|已经|刚|上个?月|去年|今年)*(?:住在|搬到|搬去|叫|来自|是(?:一名|一位|一个|个|做)|结婚|离婚|怀孕|退休|失业|吃素"
            r"|对.{{1,8}}过敏|在.{{1,12}}(?:工作|上班|上学|读书)|今年?\d+岁|有(?:一个|两个|三个|个|一只|两只)?(?:孩子|儿子|女儿|妹妹|弟弟|哥哥|姐姐|狗|猫))"
            r"|{S}的(?:妻子|丈夫|老公|老婆|儿子|女儿|妈妈|爸爸|母亲|父亲|老板|生日|名字)",
        ),
        (
            "event",
            r"{S}.{{0,20}}(?:去了|见了|参加|看了|买了|要去|有一?个?(?:面试|考试|会议|约会|手术)|遇到|吵架|分手|认识了|去)",
        ),
    ),
    "ar": (
        (
            "goal",
            r"(?<!\w)(?:أريد|يريد|تريد|أرغب|يرغب|ترغب|أتمنى|يتمنى|تتمنى|أخطط|يخطط|تخطط|أنوي|ينوي|تنوي|قررت|قرر|أود|أطمح|أحلم|أسعى|أحاول)"
            r"(?! أن (?:أعرف|أسأل|أسألك|أخبرك|أتحدث|أشارك))(?!\w)|(?<!\w)(?:هدفي|حلمي|خطتي|طموحي|هدفه|هدفها)(?!\w)",
        ),
        (
            "challenge",
            r"(?<!\w)(?:أخاف|يخاف|تخاف|أخشى|أعاني|يعاني|تعاني|أقلق)(?!\w)|(?<!\w)(?:أشعر|يشعر|تشعر) (?:دائما |أحيانا )?ب(?:القلق|التوتر|الخوف"
            r"|الإرهاق|الوحدة|الضغط|الإحباط|التعب|الضياع)|(?:يصعب|من الصعب) علي|(?<!\w)لا (?:أستطيع|أعرف كيف|أقدر|يستطيع|تستطيع)|(?<!\w)(?:مشكلتي"
            r"|أجد صعوبة|تواجهني|أواجه)(?!\w)|(?<!\w)(?:قلق|قلقة|متوتر|متوترة|مرهق|مرهقة|محبط|محبطة|خائف|خائفة)(?!\w)",
        ),
        (
            "progress",
            r"(?<!\w)(?:نجحت|تمكنت|استطعت|أنهيت|أكملت|بدأت|توقفت عن|حققت|تحسنت|اجتزت|أقلعت|تعلمت|ركضت|خسرت \d+|أنجزت|نجح|تمكن|أنهى|بدأ|حقق)"
            r"(?!\w)|لأول مرة|للمرة الأولى",
        ),
        (
            "preference",
            r"(?<!\w)(?:لا )?(?:أحب|يحب|تحب|أفضل|يفضل|تفضل|أكره|يكره|تكره|أعشق|أستمتع|يعجبني|تعجبني|أهتم ب\w+)(?!\w)|(?<!\w)المفضلة?(?!\w)",
        ),
        (
            "fact",
            r"(?<!\w)(?:أعيش|أسكن|أعمل|يعيش|تعيش|يعمل|تعمل|أدرس|انتقلت إلى|اسمي|عمري)(?!\w)|(?<!\w)(?:متزوج|متزوجة|مطلق|مطلقة|أعزب|عزباء|حامل"
            r"|متقاعد|متقاعدة|نباتي|نباتية)(?!\w)|(?<!\w)(?:لدي|عندي|لديه|لديها) (?:ابن|ابنة|بنت|ولد|طفل|طفلان|طفلة|أطفال|أخ|أخت|كلب|قطة|حساسية"
            r"|\w+ (?:أطفال|أولاد))|(?<!\w)(?:زوجتي|زوجي|ابني|ابنتي|أمي|أبي|مديري)(?!\w)|(?<!\w)أنا (?:من|طبيب|طبيبة|مهندس|مهندسة|معلم|معلمة|مدير"
            r"|مديرة|ممرض|ممرضة|محام)(?!\w)",
        ),
        (
            "event",
            r"(?<!\w)(?:ذهبت|زرت|قابلت|التقيت|سافرت|حضرت|اشتريت|شاهدت|تزوجت|لدي|عندي|سأذهب|سأسافر|سألتقي|تحدثت|احتفلت)(?!\w)",
        ),
    ),
}
_SUBJECTS: Mapping[str, tuple[str, str]] = {  # who is meant, and whose
    "en": (r"(?:i|she|he|they|(?:my|the|this) client{N})", r"her|his|their|(?:my|the) client's{N's}"),
    "es": ("(?:yo{N})", "su"),
    "de": (r"(?:ich|sie|er|(?:mein|der|die) klient(?:in)?{N})", "ihr"),
    "zh": ("(?:我|他|她|客户{N})", ""),
    "ar": ("", ""),
}
#: what is no fact although it looks like one: a wish to the app, a what-if, somebody's words said back
_ASKED: Mapping[str, str] = {
    "en": r"\b(?:want|like|love|wish|need|hope|wanted|hoping|trying)(?:ed)? (?:to|of) (?:know|ask|hear|tell|talk|chat|share|discuss"
    r"|thank|understand (?:why|how|what|you)|say|mention|clarify|see (?:what|if|how)|get (?:some |your )?(?:advice|help|suggestions)|"
    r"consult|show you|speak (?:to|with) you|open (?:the|with)|prepare (?:the|for the|my) session|help (?:her|him|them))\b"
    r"|^(?:if|when|should|would|could|can|do|does|did|what|why|how|where|who|is|are|was|will|imagine|suppose|let's|please)\b"
    r"|\b(?:what if|as if|if i (?:were|had|could))\b|\bi(?:'m| am) (?:glad|happy|sorry|sure|grateful|afraid (?:that )?i)\b"
    r"|\bi (?:think|guess|believe|agree|understand|see|know|mean|hope you|like your|love your|appreciate)\b(?!.*\b(?:my|i want|i need)\b)",
    "es": r"\b(?:quiero|quisiera|me gustaría) (?:saber|preguntar|hablar|contarte|decirte|compartir|agradecer|preguntarte)"
    r"|^¿|^(?:si|qué|cómo|por qué|cuándo|dónde|puedes|podrías|imagina)\b",
    "de": r"\b(?:möchte|will|würde gerne?)\b.{0,30}\b(?:wissen|fragen|erzählen|sprechen|besprechen|danken|teilen|reden)\b"
    r"|^(?:wenn|falls|soll|sollte|kannst|könntest|was|wie|warum|wo|wer|ist|hast|stell dir)\b",
    "zh": r"[吗呢]$|^(?:如果|假如|要是|你|您|请|怎么|为什么|什么)",
    "ar": r"^(?:هل|لو|إذا|ماذا|كيف|لماذا|أين|متى|تخيل)(?!\w)",
}
_ECHO = re.compile(
    r"\b(?:as|like) (?:you|i)(?:'ve| have)? (?:already |just )?(?:said|mentioned|told|noted|wrote|remember)|\byou(?:'ve| have| also| just"
    r"|'re right| are right)? ?(?:said|told|mentioned|wrote|noted|remember(?:ed)?|reminded|recall(?:ed)?|know(?:s)? that|wrote down)\b"
    r"|\baccording to (?:you|your)|\bwhat is known\b|\b(?:do you )?remember(?: that| when| how| what|ing)?\b|\bi (?:already )?told you"
    r"|\bas i said|\byour (?:notes|memory|memories|records?)\b|\b(?:dijiste|mencionaste|recuerdas|recuerda que|como (?:ya )?dije|ya te dije|"
    r"según (?:tú|tus))\b|\bdu (?:hast|sagtest|meintest|weißt|schriebst)\b.{0,20}(?:gesagt|erwähnt|geschrieben|dass)?|\bwie (?:du|gesagt|ich schon)\b"
    r"|\berinnerst du\b|\bsie (?:sagten|haben gesagt|erwähnten)\b|(?:你|您)(?:之前|刚才|上次)?(?:说|提到|记得|写道|记录)|正如(?:你|您)|如你所说|还记得"
    r"|كما (?:قلت|ذكرت|تعلم|تعرف)|(?:قلت|ذكرت|أخبرتني) (?:لي )?(?:أن|إن)|هل تتذكر|تذكر أن",
    re.I,
)
_FILLER = re.compile(
    r"^(?:(?:hi|hello|hey|well|ok(?:ay)?|yes|yeah|no|actually|also|and|but|so|oh|haha|hmm|um|sure|by the way|you know|to be honest"
    r"|honestly|hola|bueno|pues|sí|además|hallo|ja|nein|also|naja|übrigens|und|aber|你好|嗯|其实|对了|مرحبا|نعم|حسنا|في الحقيقة)\b[\s,،，!.:]*)+",
    re.I,
)
_EVENT_ALONE = frozenset({"en"})  # where an event's verbs are plain enough to need no date beside them


def propose(text: str, said_at: datetime, name: str = "", language: str = "") -> list[Candidate]:
    """The facts in a message, as somebody typed it; `name` is the client's, where it is about one."""
    own = said.own_words(text)
    if own.lstrip().startswith("/"):
        return []  # a tool called by hand
    code = language or words.language_of(own)
    codes = (code,) if code in LANGUAGES else ("en", "es", "de") if code else LANGUAGES
    out: list[Candidate] = []
    seen: set[str] = set()
    for begin, end in said.sentences(own):
        sentence = own[begin:end]
        if sentence.endswith(("?", "？", "؟")) or sentence.startswith("¿") or _ECHO.search(sentence):
            continue
        for start, stop in said.clauses(own, begin, end):
            found = _read(text[start:stop], said_at, name, codes)
            if found is not None and found.text.casefold() not in seen:
                seen.add(found.text.casefold())
                out.append(found)
    return out[:_MOST]


def _read(quote: str, said_at: datetime, name: str, codes: tuple[str, ...]) -> Candidate | None:
    clause = _FILLER.sub("", quote).strip(" ,،，;")
    plain = clause.replace("’", "'")
    if len(clause) > _LONGEST or len(clause) < 5 or not _says_something(clause):
        return None
    for code in codes:
        if re.search(_ASKED[code], plain, re.I):
            continue
        times = dates_said.find(plain, said_at, code)
        for kind, pattern in _compiled(code, name):
            if not pattern.search(plain):
                continue
            if kind == "event" and not times and code not in _EVENT_ALONE:
                continue
            return _candidate(kind, clause, quote, _when(kind, times, said_at), code)
    return None


def _candidate(kind: MemoryKind, clause: str, quote: str, when: datetime | None, code: str) -> Candidate:
    firm = (
        0.1 * (when is not None) + 0.1 * bool(re.search(r"\d", clause)) + 0.1 * bool(re.search(_STRONG, clause, re.I))
    )
    text = clause[:1].upper() + clause[1:]
    importance = min(1.0, _IMPORTANCE[kind] + firm)
    return Candidate(kind, text, quote, round(importance, 2), 0.6 if kind == "event" else 0.7, when, code)


_STRONG = r"\b(?:really|very|always|never|most|biggest|must|unbedingt|wirklich|immer|nie|sehr|muy|siempre|nunca)\b|一定|非常|最|جدا|دائما|أبدا"


def _when(kind: MemoryKind, times: list[dates_said.Said], said_at: datetime) -> datetime | None:
    """The day it is about; of a goal, the last day of a time that has begun."""
    if not times:
        return None
    first = times[0]
    return first.end - dates_said.DAY if kind == "goal" and first.start <= said_at < first.end else first.start


def _says_something(clause: str) -> bool:
    return len(words.query_words(clause)) >= 2


@lru_cache(maxsize=256)
def _compiled(code: str, name: str) -> list[tuple[MemoryKind, re.Pattern[str]]]:
    subject, whose = _SUBJECTS[code]
    called = [re.escape(n) for n in dict.fromkeys([name, name.split()[0] if name.split() else ""]) if n]
    subject = subject.replace("{N}", "".join(f"|{n}" for n in called))
    whose = whose.replace("{N's}", "".join(f"|{n}'s" for n in called)) or "\\b\\B"
    return [(kind, re.compile(_filled(p, subject, whose), re.I)) for kind, p in _RULES[code]]


def _filled(pattern: str, subject: str, whose: str) -> str:
    pattern = pattern.replace("{S}", subject).replace("{P}", f"(?:{whose})")
    return pattern.replace("{{", "{").replace("}}", "}")
