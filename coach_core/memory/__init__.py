"""What is remembered of a person: proposed from their own words, approved, recalled for a question.

`rules` reads facts from what somebody typed, `extraction` asks a model for them, `same` tells what is new from what
is known or has changed, `recalling` finds what comes to mind, `rendering` says it to a model.

Invariant: only what a person typed becomes a memory: nothing injected, quoted, pasted or said by a model. Whose it
is, is decided by who acts and in which thread, never by a text.
"""
