"""Every error a person can meet, as one tree; each carries a sentence that is safe to show.

CoachError
├── InputError
│   ├── EmptyMessage, MessageTooLong, BadLink, NameTaken
│   └── FileError: EmptyFile, EncryptedFile, DamagedFile, UnsupportedFile, MislabelledFile, FileTooLarge, FileTooSlow,
│                  NoOcr, NoText
├── NotFound: ThreadNotFound, MessageNotFound, TurnNotFound, PersonaNotFound, DocumentNotFound,
│             CollectionNotFound, FileNotFound, ProfileNotFound, ClientNotFound, MemoryNotFound
├── NotAllowed
├── TurnRunning
├── ConfigError: MissingKey, BadSetting, MissingPart
├── StoreError: DatabaseBusy, DatabaseUnreachable, DiskFull, SchemaBehind, SchemaTooNew, BadBackup, LeaseLost
└── BackendError
    ├── AuthFailed, Unreachable, RateLimited, BadRequest, ContextTooLong, ModelNotFound, NotAnApi, ApiSwitchedOff
    ├── TimedOut: FirstTokenTimeout, TokenTimeout
    ├── ServerFailed: Overloaded
    ├── StreamCut: MalformedStream
    └── Refused, EmptyAnswer, StateLost, HostedSearchFailed, LocalModelFailed

The docstring is the default sentence: what happened and what to do. A sentence given by the caller
replaces it; neither ever holds a secret.
"""

from __future__ import annotations

import inspect
import re

_KEPT = re.compile(r"What (?:had arrived|was said) is kept(?:; (?:press Continue|try again))?\.")
_GO_ON = "What had arrived is kept; press Continue."


class CoachError(Exception):
    """Something went wrong here. Try again; if it stays, run `python -m coach_core doctor`."""

    def __init__(self, sentence: str = "") -> None:
        self.sentence = sentence or " ".join((inspect.getdoc(type(self)) or "").split())
        super().__init__(self.sentence)

    @property
    def kind(self) -> str:
        """The class's name in snake_case: what events, metrics and JSON call it."""
        name = type(self).__name__
        return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def told_alone(fault: CoachError) -> str:
    """The sentence where there is no answer that anything could be kept of."""
    return " ".join(_KEPT.sub("", fault.sentence).split())


def told_in_terminal(sentence: str, thread: str) -> str:
    """The sentence with a command where it names a button of the page."""
    go_on = f'go on with `ask --thread {thread} "Go on."`'
    return sentence.replace("press Continue", go_on).replace("Press Answer again", "Ask again")


def told_after(fault: CoachError, *, partial: bool) -> str:
    """The sentence as it stands under an answer: what to do next hangs on whether a part of it is there."""
    if not partial:
        return _KEPT.sub("Try again.", fault.sentence)
    return _KEPT.sub(_GO_ON, fault.sentence) if _KEPT.search(fault.sentence) else f"{fault.sentence} {_GO_ON}"


class InputError(CoachError):
    """That input cannot be used. Change it and try again."""


class EmptyMessage(InputError):
    """The message is empty. Type a question first."""


class MessageTooLong(InputError):
    """The message is too long. Shorten it, or attach it as a file."""


class BadLink(InputError):
    """This link is not complete. Open the thread from the list of threads."""


class NameTaken(InputError):
    """That name is taken already. Choose another."""


class FileError(InputError):
    """This file cannot be read. Try another copy of it."""


class EmptyFile(FileError):
    """The file is empty (0 bytes). Choose another file."""


class EncryptedFile(FileError):
    """The file is protected by a password. Save a copy without the password and upload that."""


class DamagedFile(FileError):
    """The file is damaged or cut off. Upload a whole copy of it."""


class UnsupportedFile(FileError):
    """This kind of file cannot be read yet. Use PDF, DOCX, PPTX, XLSX, EPUB, Markdown, text, HTML,
    CSV, JSON, EML or a ZIP of these."""


class MislabelledFile(FileError):
    """The file's content is not what its name says. Rename it to what it is, or save it again."""


class FileTooLarge(FileError):
    """The file is too large. Split it into parts of at most 25 MB."""


class FileTooSlow(FileError):
    """Reading the file took too long and was stopped. Split it into parts, or save it again in a simpler form."""


class NoOcr(FileError):
    """Text in pictures is read by Tesseract, which is not installed here. Upload the text itself, or ask the operator
    to install it (Debian, Ubuntu: apt install tesseract-ocr; macOS: brew install tesseract)."""


class NoText(FileError):
    """No text was found in the file. If it is a scan, run text recognition (OCR) on it first."""


class NotFound(CoachError):
    """That does not exist, or is not yours to see."""


class ThreadNotFound(NotFound):
    """This thread does not exist, or is not yours to see. Open another from the list of threads."""


class MessageNotFound(NotFound):
    """That message does not exist in this thread. Reload the page."""


class TurnNotFound(NotFound):
    """That turn does not exist, or is not yours to see."""


class PersonaNotFound(NotFound):
    """That persona does not exist. Choose another from the list of personas."""


class DocumentNotFound(NotFound):
    """That document does not exist any more. Passages that answers cite are kept with the answers."""


class CollectionNotFound(NotFound):
    """That collection does not exist. `python -m coach_core ingest --help` says how to make one."""


class FileNotFound(NotFound):
    """That file is not in the store any more. Attach it again."""


class ProfileNotFound(NotFound):
    """That profile does not exist. Choose another at the bottom of the sidebar."""


class ClientNotFound(NotFound):
    """That client does not exist, or is not yours to see. Choose another from the list of clients."""


class MemoryNotFound(NotFound):
    """That memory does not exist, or is not yours to see. Reload the page."""


class NotAllowed(CoachError):
    """Your role does not allow this. Ask an admin, or choose another profile."""


class TurnRunning(CoachError):
    """An answer is being written in this thread. Wait for it, or stop it first."""


class ConfigError(CoachError):
    """A setting is missing or wrong. `python -m coach_core doctor` says which."""


class MissingKey(ConfigError):
    """No key is set for this backend. Put OPENAI_API_KEY=... into the file .env and start again."""


class BadSetting(ConfigError):
    """A setting has a value that cannot be used. `python -m coach_core doctor` says which."""


class MissingPart(ConfigError):
    """A part that this needs is not installed. Run `make setup` and start again."""


class StoreError(CoachError):
    """The database did not take this. Nothing that was stored before is lost; try again."""


class DatabaseBusy(StoreError):
    """The database is busy. Nothing is lost; try again in a moment."""


class DatabaseUnreachable(StoreError):
    """The database cannot be reached. Check DATABASE_URL and that the server runs."""


class DiskFull(StoreError):
    """The disk is full. Free some space; nothing that was stored before is lost."""


class SchemaBehind(StoreError):
    """The database is of an older version. Start the app once with `python -m coach_core serve`."""


class SchemaTooNew(StoreError):
    """The database was made by a newer version of this app. Update the app, or restore a backup."""


class BadBackup(StoreError):
    """This file is not a backup made by `python -m coach_core backup`, or it is damaged."""


class BackendError(CoachError):
    """The model's server failed. What was said is kept; try again."""

    retryable = False
    #: Seconds after which the server says it is worth asking again.
    retry_after: float | None = None


class AuthFailed(BackendError):
    """The model's server refused the key. Check the key in .env, then start again."""


class Unreachable(BackendError):
    """The model's server cannot be reached. Check the network and the base URL, then try again."""

    retryable = True


class TimedOut(BackendError):
    """The model's server took too long. What had arrived is kept; try again."""

    retryable = True


class FirstTokenTimeout(TimedOut):
    """The model did not begin to answer in time. Try again, or choose another backend."""


class TokenTimeout(TimedOut):
    """The answer stopped in the middle. What had arrived is kept; press Continue."""


class RateLimited(BackendError):
    """The model's server asks to wait: too many requests, or the quota is used up. Try again later."""

    retryable = True


class BadRequest(BackendError):
    """The model's server did not accept the request. Check the model's name and its parameters."""


class ContextTooLong(BackendError):
    """This conversation is too long for the model. Start a new thread, or choose a larger model."""


class ModelNotFound(BackendError):
    """The model's server does not know this model. Check the model's name in the settings."""


class NotAnApi(BackendError):
    """The base URL answers, but not as a model API. Check it; it often ends in /v1."""


class ServerFailed(BackendError):
    """The model's server had an error of its own. What was said is kept; try again."""

    retryable = True


class Overloaded(ServerFailed):
    """The model's server is overloaded. Try again in a moment."""


class StreamCut(BackendError):
    """The answer was cut off on its way. What had arrived is kept; press Continue."""

    retryable = True


class MalformedStream(StreamCut):
    """The model's server sent something damaged. What had arrived is kept; press Continue."""


class Refused(BackendError):
    """The model's server declined to answer this. Ask it in another way."""


class EmptyAnswer(BackendError):
    """The model gave an empty answer. Press Answer again, or ask in another way."""


class StateLost(BackendError):
    """The model's server no longer knows this conversation. It is told again from here."""

    retryable = True


class HostedSearchFailed(BackendError):
    """The documents kept at the API could not be searched. The app's own search can answer instead."""

    retryable = True


class ApiSwitchedOff(BackendError):
    """This API was switched off by its vendor. Choose another backend in the settings."""


class LocalModelFailed(BackendError):
    """The local model did not start. Check COACH_LOCAL_MODEL and run `python -m coach_core doctor`."""


class LeaseLost(StoreError):
    """Another process has taken this answer over. Reload the page to see it."""
