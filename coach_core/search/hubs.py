"""What every question is near to, taken off a question before it is held against passages.

Invariant: a passage that is near to questions about anything (because it is worded like a question, in the
same language, in the first person) gains nothing by that: its mean likeness to questions that have nothing to do
with it counts against it by half (as in CSLS, Conneau et al. 2018). This is linear, so it is one vector,
subtracted from the question's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coach_core.search.meaning import Embedder

F32 = NDArray[np.float32]
_SHARE = 0.5
#: everyday questions of no common subject, in the languages that people ask in
QUESTIONS = (
    "How do I bake bread at home?",
    "Why is the sky blue?",
    "How can I repair a flat bicycle tyre?",
    "When does the train leave?",
    "My neighbour is loud, what can I do?",
    "What should I tell my friend?",
    "How long does it take to learn the piano?",
    "I feel bad today. What now?",
    "¿Cómo hago pan en casa?",
    "¿Por qué el cielo es azul?",
    "¿Qué le digo a mi amigo?",
    "Me siento mal hoy. ¿Y ahora?",
    "Wie backe ich Brot?",
    "Warum ist der Himmel blau?",
    "Was soll ich meinem Freund sagen?",
    "Mir geht es heute schlecht. Was nun?",
    "Comment faire du pain à la maison ?",
    "Combien de temps faut-il pour apprendre le piano ?",
    "我怎么在家做面包？",
    "天空为什么是蓝色的？",
    "我该怎么告诉我的朋友？",
    "我今天感觉不好，怎么办？",
    "كيف أخبز الخبز في البيت؟",
    "لماذا السماء زرقاء؟",
    "ماذا أقول لصديقي؟",
    "أشعر بالسوء اليوم، ماذا أفعل؟",
)


def common(embedder: Embedder) -> F32:
    """The part that questions have in common; to be given to `away`."""
    vectors = np.stack([embedder.query(question) for question in QUESTIONS])
    return np.asarray(vectors.mean(axis=0), np.float32)


def away(query: F32, shared: F32) -> F32:
    """The question without half of what all questions share. Not of length one; made for ranking only."""
    return (query - _SHARE * shared).astype(np.float32)
