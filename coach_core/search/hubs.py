"""What every question is near to, taken off a question before it is held against passages.

Invariant: a passage that is near to questions about anything (because it is worded like a question, in the
same language, in the first person) or lies in the midst of all passages gains nothing by that: its mean likeness
to questions that have nothing to do with it, and to the other passages, counts against it by half (as in CSLS,
Conneau et al. 2018). This is linear, so it is one vector, subtracted from the question's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coach_core.search import words
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


def common(embedder: Embedder, languages: Sequence[str] = ()) -> F32:
    """The part that questions (of `languages` only, when given) have in common; to be given to `away`."""
    chosen = [q for q in QUESTIONS if not languages or words.language_of(q) in languages]
    vectors = np.stack([embedder.query(question) for question in chosen])
    return np.asarray(vectors.mean(axis=0), np.float32)


def away(query: F32, shared: F32, passages: F32) -> F32:
    """The question without half of what all questions and all `passages` share. Not of length one; for ranking only."""
    return (query - _SHARE * (shared + passages) / 2).astype(np.float32)


def unit(rows: F32) -> F32:
    """`rows` of length one each; those of zeros as they are."""
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(np.float32)
