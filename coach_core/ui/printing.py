"""A button that prints what stands in the container "sheet": app.css leaves all else off the paper."""

from __future__ import annotations

import streamlit as st
from streamlit.components.v2 import component

_BUTTON = "print_sheet"
_component = component(
    "coach_print",
    js=f"""export default function () {{
  const print = (event) => {{ if (event.target.closest(".st-key-{_BUTTON} button")) window.print() }}
  document.addEventListener("click", print)
  return () => document.removeEventListener("click", print)
}}""",
)


def button() -> None:
    st.button("Print", icon=":material/print:", key=_BUTTON)
    with st.container(key="print-place"):
        _component(key="print")
