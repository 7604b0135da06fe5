"""The choice of the models of search: the embedder and the reranker, tried live before they are saved.

Invariant: what is saved was tried just so; before, the page says what it costs and where passages go. No key is typed
in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from coach_core.types import Actor, EmbedderTrial, EmbeddingProgress
from coach_core.ui import marks, shared
from pages import _dialog

if TYPE_CHECKING:
    from coach_core.coach import Coach

NAMES = ("embedder", "reranker")
TRIED = "_search_model"  # the last trial: (setting, EmbedderTrial)
KINDS = {
    "embedder": {
        "own": "The app's own",
        "endpoint": "An endpoint's model",
        "address": "An address",
        "local": "A folder or hub id",
    },
    "reranker": {"own": "None", "endpoint": "An endpoint's model", "address": "An address"},
}
ABOUT = {
    "embedder": "Turns passages and questions into vectors of meaning. Words find passages without it.",
    "reranker": "Reads the best passages of a search once more and puts them in a better order. It must be quick: what "
    "comes too late is not used.",
}
PLACES = {"embedder": "https://host/v1/embeddings", "reranker": "https://host/v1/rerank"}
MODELS = {"embedder": "text-embedding-3-small", "reranker": "jina-reranker-v2-base-multilingual"}


@st.dialog("Choose a model of search", icon=":material/travel_explore:", width="medium", on_dismiss=_dialog.forget)
def choose(coach: Coach, actor: Actor, name: str, own: str, value: str, says: str) -> None:
    st.markdown(ABOUT[name])
    kind, where, model, more = _taken_apart(own)
    kinds = KINDS[name]
    kind = st.radio(
        "Which", list(kinds), list(kinds).index(kind), format_func=kinds.__getitem__, key="model_kind", horizontal=True
    )
    spec = _spec(coach, actor, name, kind, where, model, more)
    st.caption(_key_hint(name, kind))
    trial = _tried(name, spec)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(
            "Try it", icon=":material/bolt:", key="model_try", disabled=spec is None or (name, spec) == ("reranker", "")
        ):
            with st.spinner("Opening it and asking a sentence of it", show_time=True), shared.guard():
                trial = (
                    coach.test_embedder(actor, spec or "")
                    if name == "embedder"
                    else coach.test_reranker(actor, spec or "")
                )
                st.session_state[TRIED] = (name, trial)
        ready = spec is not None and ((trial is not None and not trial.error) or (name, spec) == ("reranker", ""))
        save = st.button(
            "Save", type="primary", key="model_save", disabled=not ready, help=None if ready else "Try it first"
        )
    if trial is not None:
        _outcome(name, trial)
    if save and spec is not None:
        with shared.guard():
            coach.change_setting(actor, name, spec)
            st.session_state.pop(TRIED, None)
            _dialog.close()


def said(state: EmbeddingProgress, done: int, total: int) -> tuple[float | None, str]:
    """(the share to draw as a bar or None, the sentence) of how far passages are found by meaning."""
    left = f", {about(state.seconds)} left" if state.seconds is not None else ""
    trouble = f". {state.trouble}" if state.trouble else ""
    if state.serving:
        so_far = f"The new model has read {state.done:,} of {state.total:,} passages{left}"
        finds = "words alone find" if state.alone else "another finds" if state.instead else "the old one finds"
        return state.done / max(state.total, 1), f"{so_far}; {finds} them until then{trouble}"
    if state.instead and total:
        found = "Until it answers, the model before finds passages by meaning"
        return None, f":material/cloud_off: {state.trouble} {found}"
    if state.alone and total:
        return None, f":material/cloud_off: Passages are found by words alone for now. {state.trouble}"
    if done < total:
        return done / total, f"Found by words already; by meaning {done:,} of {total:,} passages{left}{trouble}"
    if total:
        return None, f":material/done_all: All {total:,} passages are found by words and by meaning{trouble}"
    return None, ""


def about(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"


def _spec(coach: Coach, actor: Actor, name: str, kind: str, where: str, model: str, more: dict[str, str]) -> str | None:
    """What is chosen, as it is saved; None while something is missing."""
    if kind == "own":
        return ""
    if kind == "local":
        return (
            st.text_input(
                "Folder or hub id",
                where,
                key="model_where",
                placeholder="intfloat/multilingual-e5-base",
                help="A folder holds model.onnx and tokenizer.json. A hub's model is fetched once.",
            )
            or ""
        ).strip() or None
    if kind == "endpoint":
        names = coach.model_endpoints(actor)
        if not names:
            st.info(
                "There is no endpoint yet. Add one under Connections: it names the variable of its key.",
                icon=":material/cable:",
            )
            return None
        place = st.selectbox("Endpoint", names, names.index(where) if where in names else 0, key="model_where") or ""
    else:
        place = (st.text_input("Address", where, key="model_where", placeholder=PLACES[name]) or "").strip()
    given = (st.text_input("Model", model, key="model_name", placeholder=MODELS[name]) or "").strip()
    rest = _more(more) if name == "embedder" else ""
    return f"{place}#{given}{rest}" if place and given else None


def _more(more: dict[str, str]) -> str:
    with st.expander("More"):
        dimensions = st.number_input(
            "Dimensions",
            0,
            16_384,
            int(more.get("dimensions") or 0),
            key="model_dimensions",
            help="0: as many as the model has. Some models can be asked for fewer.",
        )
        other = st.checkbox(
            "Other words before a text than this kind of model wants", "query" in more, key="model_other"
        )
        query = st.text_input("Before a question", more.get("query", ""), key="model_query", disabled=not other)
        passage = st.text_input("Before a passage", more.get("passage", ""), key="model_passage", disabled=not other)
    stated = {"dimensions": str(dimensions)} if dimensions else {}
    if other:
        stated |= {"query": query or "", "passage": passage or ""}
    return f"?{urlencode(stated)}" if stated else ""


def _outcome(name: str, trial: EmbedderTrial) -> None:
    if trial.error:
        st.error(marks.plain(trial.error), icon=":material/error:")
        return
    if name == "reranker":
        st.success(
            f"It answers: {trial.milliseconds:,.0f} ms for as many passages as a question has.",
            icon=":material/check_circle:",
        )
    else:
        st.success(
            f"{marks.plain(trial.name)} answers: a question takes {trial.milliseconds:,.0f} ms, a vector has "
            f"{trial.dimensions:,} numbers, and it reads {trial.rate:,.0f} passages a second.",
            icon=":material/check_circle:",
        )
        if trial.waiting:
            again = "again" if trial.waiting == trial.total else "that it has not read yet"
            st.info(
                f"{trial.waiting:,} passages will be read {again}, {about(trial.seconds)}. Until then the model of now "
                "finds them, and questions go on.",
                icon=":material/schedule:",
            )
        elif trial.total:
            st.info(f"It has read all {trial.total:,} passages: the change is at once.", icon=":material/done_all:")
    if trial.host:
        what = (
            "The text of all documents, and each question,"
            if name == "embedder"
            else ("Each question, and the passages found for it,")
        )
        st.warning(f"{what} is sent to **{marks.plain(trial.host)}**.", icon=":material/outbound:")


def _tried(name: str, spec: str | None) -> EmbedderTrial | None:
    setting, trial = st.session_state.get(TRIED, ("", None))
    return trial if trial is not None and setting == name and trial.spec == spec else None


def _key_hint(name: str, kind: str) -> str:
    if kind == "address":
        return (
            f"For a server without a key. COACH_{name.upper()}_KEY goes only to an address that stands beside it in "
            "the environment or .env; for a key here, choose an endpoint's model."
        )
    if kind == "endpoint":
        return "The endpoint names the variable of its key; its address and its headers hold here too."
    return ""


def _taken_apart(own: str) -> tuple[str, str, str, dict[str, str]]:
    """(kind, where, model, what is stated besides) of a value as it is saved."""
    where, _, rest = own.partition("#")
    model, _, more = rest.partition("?")
    if not own or own == "bundled":
        return "own", "", "", {}
    if where.startswith(("http://", "https://")):
        return "address", where, model, dict(parse_qsl(more, keep_blank_values=True))
    if rest:
        return "endpoint", where, model, dict(parse_qsl(more, keep_blank_values=True))
    return "local", own, "", {}
