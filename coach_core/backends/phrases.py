"""What the extractive backend says in its own words, in the language of the question.

Invariant: every language has every phrase; a language that is not here gets English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """What is said in which case.

    `lead` opens an answer, `nearest` what only comes near one; `picture` says that none can be looked at,
    `nothing` that the documents hold no answer, `unsearched` that nobody could look; `medicine` leads to a doctor;
    `hello` answers what asks nothing; `connect` says once a
    thread that no model is connected.
    """

    lead: str
    nearest: str
    picture: str
    nothing: str
    unsearched: str
    medicine: str
    hello: str
    connect: str


_SETTINGS = ("`OPENAI_API_KEY=...`", "`.env`", "`COACH_LOCAL_MODEL=path/model.gguf`")

_PHRASES = {
    "en": Phrases(
        lead="This is what the documents say:",
        nearest="The documents hold no direct answer to this. The nearest they come to it:",
        picture="*A picture cannot be looked at without a language model.*",
        nothing="The documents I can read hold no answer to this. Try other words, or add a document that "
        "covers it on the Knowledge page.",
        unsearched="The documents could not be searched just now, so I cannot tell what they say about this. "
        "Please ask again in a moment.",
        medicine="Please ask your doctor or pharmacist about this: whether to take a medicine, how "
        "much, and when to stop is for them to say.",
        hello="Hello. Ask me a question, and I quote what the documents say about it.",
        connect="*No language model is connected, so I quote the documents word for word. For answers in a "
        "coach's own words put {0} into the file {1}, or {2} for a model on this machine, and start again.*",
    ),
    "es": Phrases(
        lead="Esto dicen los documentos:",
        nearest="Los documentos no responden directamente a esto. Lo más cercano:",
        picture="*Sin un modelo de lenguaje no se puede mirar una imagen.*",
        nothing="Los documentos que puedo leer no contienen una respuesta a esto. Pruebe con otras palabras "
        "o añada un documento que lo trate en la página «Knowledge».",
        unsearched="Ahora mismo no se han podido consultar los documentos, así que no sé qué dicen sobre esto. "
        "Vuelva a preguntar en un momento.",
        medicine="Consulte esto con su médico o farmacéutico: si tomar un medicamento, cuánto y cuándo "
        "dejarlo lo deciden ellos.",
        hello="Hola. Hágame una pregunta y citaré lo que dicen los documentos.",
        connect="*No hay ningún modelo de lenguaje conectado, por eso cito los documentos al pie de la letra. "
        "Para respuestas redactadas, ponga {0} en el archivo {1}, o {2} para un modelo en este equipo, y "
        "vuelva a iniciar.*",
    ),
    "de": Phrases(
        lead="Das sagen die Dokumente:",
        nearest="Die Dokumente beantworten das nicht unmittelbar. Am nächsten kommt:",
        picture="*Ohne Sprachmodell kann ich ein Bild nicht ansehen.*",
        nothing="Die Dokumente, die ich lesen kann, enthalten darauf keine Antwort. Versuchen Sie andere "
        "Wörter, oder fügen Sie auf der Seite „Knowledge“ ein passendes Dokument hinzu.",
        unsearched="Die Dokumente konnten gerade nicht durchsucht werden; ob sie darauf antworten, weiß ich daher "
        "nicht. Bitte fragen Sie gleich noch einmal.",
        medicine="Fragen Sie dazu bitte Ihre Ärztin oder Apotheke: Ob man ein Medikament nimmt, wie "
        "viel und wann man es absetzt, sagen diese.",
        hello="Guten Tag. Stellen Sie mir eine Frage, und ich zitiere, was die Dokumente dazu sagen.",
        connect="*Es ist kein Sprachmodell verbunden, darum zitiere ich die Dokumente wörtlich. Für "
        "ausformulierte Antworten schreiben Sie {0} in die Datei {1}, oder {2} für ein Modell auf diesem "
        "Rechner, und starten Sie neu.*",
    ),
    "fr": Phrases(
        lead="Voici ce que disent les documents :",
        nearest="Les documents n’y répondent pas directement. Le plus proche :",
        picture="*Sans modèle de langage, une image ne peut pas être regardée.*",
        nothing="Les documents que je peux lire ne contiennent pas de réponse à cela. Essayez d’autres mots, "
        "ou ajoutez un document sur ce sujet à la page « Knowledge ».",
        unsearched="Les documents n’ont pas pu être consultés à l’instant ; je ne sais donc pas ce qu’ils en disent. "
        "Reposez la question dans un moment.",
        medicine="Demandez-le à votre médecin ou pharmacien : prendre un médicament, à quelle dose et "
        "quand l’arrêter, c’est à eux de le dire.",
        hello="Bonjour. Posez-moi une question, et je citerai ce que disent les documents.",
        connect="*Aucun modèle de langage n’est connecté, je cite donc les documents mot à mot. Pour des "
        "réponses rédigées, mettez {0} dans le fichier {1}, ou {2} pour un modèle sur cette machine, puis "
        "redémarrez.*",
    ),
    "it": Phrases(
        lead="Ecco che cosa dicono i documenti:",
        nearest="I documenti non rispondono direttamente. Il più vicino:",
        picture="*Senza un modello linguistico non posso guardare un’immagine.*",
        nothing="I documenti che posso leggere non contengono una risposta. Provi con altre parole, o "
        "aggiunga un documento sul tema nella pagina «Knowledge».",
        unsearched="In questo momento non è stato possibile consultare i documenti, quindi non so che cosa dicano. "
        "Ripeta la domanda tra un momento.",
        medicine="Lo chieda al medico o al farmacista: se prendere un farmaco, quanto e quando "
        "smettere spetta a loro dirlo.",
        hello="Buongiorno. Mi faccia una domanda e citerò ciò che dicono i documenti.",
        connect="*Nessun modello linguistico è collegato, perciò cito i documenti parola per parola. Per "
        "risposte scritte metta {0} nel file {1}, oppure {2} per un modello su questa macchina, e riavvii.*",
    ),
    "pt": Phrases(
        lead="Isto é o que dizem os documentos:",
        nearest="Os documentos não respondem diretamente a isto. O mais próximo:",
        picture="*Sem um modelo de linguagem, não é possível ver uma imagem.*",
        nothing="Os documentos que posso ler não têm resposta para isso. Tente outras palavras, ou adicione "
        "um documento sobre o tema na página «Knowledge».",
        unsearched="Não foi possível consultar os documentos neste momento, por isso não sei o que dizem sobre isto. "
        "Pergunte de novo daqui a pouco.",
        medicine="Pergunte ao seu médico ou farmacêutico: tomar um medicamento, quanto e quando parar "
        "cabe a eles dizer.",
        hello="Olá. Faça-me uma pergunta e citarei o que dizem os documentos.",
        connect="*Nenhum modelo de linguagem está conectado, por isso cito os documentos palavra por palavra. "
        "Para respostas redigidas, ponha {0} no arquivo {1}, ou {2} para um modelo nesta máquina, e "
        "reinicie.*",
    ),
    "zh": Phrases(
        lead="文档中是这样说的：",
        nearest="文档中没有对此的直接回答。最接近的是：",
        picture="*没有语言模型就无法查看图片。*",
        nothing="我能读到的文档中没有这个问题的答案。请换个说法，或在“Knowledge”页面添加相关文档。",
        unsearched="刚才未能检索文档，因此我不知道其中是否有答案。请稍后再问一次。",
        medicine="请向医生或药师咨询：是否服药、用多少、何时停药，应由他们决定。",
        hello="你好。请提出一个问题，我会引用文档中的相关内容。",
        connect="*目前没有连接语言模型，因此我逐字引用文档。若想得到组织好的回答，请把 {0} 写入文件 {1}，"
        "或用 {2} 指定本机上的模型，然后重新启动。*",
    ),
    "ar": Phrases(
        lead="هذا ما تقوله الوثائق:",
        nearest="لا تجيب الوثائق عن هذا مباشرة. أقرب ما فيها:",
        picture="*لا يمكن النظر في صورة دون نموذج لغوي.*",
        nothing="الوثائق التي أستطيع قراءتها لا تتضمن جوابًا عن هذا السؤال. جرّب كلمات أخرى، أو أضف وثيقة تتناوله "
        "في صفحة «Knowledge».",
        unsearched="تعذّر البحث في الوثائق الآن، لذلك لا أعرف ما تقوله عن هذا. "
        "أعد السؤال بعد لحظات من فضلك.",
        medicine="اسأل طبيبك أو الصيدلي عن ذلك: هل تتناول دواءً، وكم، ومتى توقفه، فهذا لهما.",
        hello="مرحبًا. اطرح عليّ سؤالًا وسأقتبس ما تقوله الوثائق عنه.",
        connect="*لا يوجد نموذج لغوي متصل، لذلك أقتبس من الوثائق حرفيًا. للحصول على إجابات مصوغة ضع {0} في الملف {1}، "
        "أو {2} لنموذج على هذا الجهاز، ثم أعد التشغيل.*",
    ),
}  # fmt: skip

#: What a person says to open or close a talk; such a message asks nothing.
GREETINGS = frozenset(
    """hi hello hey thanks thank you good morning evening hola gracias buenos buenas días tardes noches hallo guten tag
    morgen abend danke moin servus bonjour bonsoir salut merci ciao buongiorno grazie olá obrigado obrigada 你好 您好
    谢谢 嗨 早上好 مرحبا مرحبًا شكرا شكرًا أهلا السلام عليكم ok okay test""".split()  # noqa: SIM905
)


_MEDICINE = re.compile(
    r"\b(?:medicines?|medications?|meds|drugs?|pills?|tablets?|antidepress\w+|antibiotic\w*|painkillers?|sedatives?|"
    r"sleeping aids?|supplements?|ssri\w*|melatonin\w*|sertralin\w*|fluoxetin\w*|escitalopram|citalopram|venlafaxin\w*|"
    r"diazepam|lorazepam|alprazolam|ritalin\w*|methylphenidat\w*|lithium|litio|ibuprofen\w*|paracetamol|"
    r"aspirin\w*|insulin\w*|"
    r"statins?|medikament\w*|arznei\w*|tablette\w*|pille\w*|medicament\w*|medicinas?|pastillas?|antidepresiv\w+|"
    r"melatonina|sertralina|médicament\w*|comprim\w+|farmac\w+)\b"
    r"|药|藥|褪黑素|褪黑激素|舍曲林|抗抑郁|安眠|دواء|أدوية|الدوا|حبوب|حبة|ميلاتونين|سيرترالين|مضاد",
    re.IGNORECASE,
)
_DOSING = re.compile(
    r"\b(?:dos(?:e|es|age|ing|ierung|is)|milligrams?|mg|how (?:much|many)|take|taking|stop(?:ping)?|come off|"
    r"quit(?:ting)?|increase|reduce|taper\w*|start(?:ing)?|mix|combin\w+|safe|cuánt[oa]s?|tomar\w*|tomo|dejar\w*|dejo|"
    r"suspender|aumentar|bajar|wie ?viel\w*|nehmen|nehme|einnehmen|absetzen|aufhören|erhöhen|senken|"
    r"combien|prendre|arrêter)\b"
    r"|吃多少|多少|几片|幾片|剂量|劑量|毫克|服用|停药|停藥|该吃|能吃|要不要吃|جرعة|كم|آخذ|اخذ|أتناول|أوقف|اوقف|أترك|ملغ|مج",
    re.IGNORECASE,
)


def asks_of_medicine(text: str) -> bool:
    """Whether a question is about how much of a medicine to take, or whether to take or stop it."""
    return bool(_MEDICINE.search(text) and _DOSING.search(text))


def phrases(language: str) -> Phrases:
    """The phrases in `language` (a two-letter code), or in English."""
    return _PHRASES.get(language[:2].lower(), _PHRASES["en"])


def connect(language: str) -> str:
    """The sentence that says how to connect a model."""
    return phrases(language).connect.format(*_SETTINGS)
