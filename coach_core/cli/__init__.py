"""The command line. `python -m coach_core --help` lists the commands.

Invariant: what a person sees of a failure is one sentence on stderr, never a traceback. Exit codes: 0 done,
1 it did not work, 2 the input or a setting cannot be used, 130 stopped by Ctrl-C. Answers and data go to
stdout, all else to stderr. Heavy parts are imported only by the command that needs them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from coach_core.cli import (
    asking,
    clients,
    endpoints,
    hosted,
    knowledge,
    library,
    operate,
    personas,
    serve,
    shell,
    threads,
    uploads,
)
from coach_core.errors import BadSetting, CoachError, InputError, NotFound

VERSION = "0.3.0"
EPILOG = (
    "Everything is kept in COACH_HOME (default: the folder data/ of the checkout); DATABASE_URL names another "
    "database. Settings may stand in the environment or in the file .env; `doctor` shows what is in force."
)

app = typer.Typer(
    name="coach_core",
    help="A coaching chat that answers from your documents, whichever model is behind it.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coach_core {VERSION}")
        raise typer.Exit


@app.callback()
def common(
    profile: Annotated[str, typer.Option("--profile", help="Act as this local profile instead of the owner.")] = "",
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    shell.profile = profile


app.command("ask")(asking.ask)
app.command("ingest")(knowledge.ingest)
app.command("uploads")(uploads.uploads)
app.command("search")(knowledge.search)
app.add_typer(library.app, name="knowledge")
app.add_typer(threads.app, name="threads")
app.add_typer(clients.app, name="clients")
personas.app.command("hosted")(hosted.hosted)
app.add_typer(personas.app, name="personas")
app.add_typer(endpoints.app, name="endpoints")
app.command("doctor")(operate.doctor)
app.command("backup")(operate.backup)
app.command("restore")(operate.restore)
app.command("cleanup")(operate.cleanup)
app.command("serve")(serve.serve)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and leave with its exit code."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="python -m coach_core")
    except CoachError as error:
        shell.say(error.sentence)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # The reader has gone (`| head`): nothing is left to say, also not while the interpreter closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        shell.log_unexpected(error)
        shell.say(f"Something went wrong here ({type(error).__name__}). Run `python -m coach_core doctor`.")
        sys.exit(1)


def exit_code(error: CoachError) -> int:
    """2 where other input or another setting would help, else 1."""
    return 2 if isinstance(error, InputError | NotFound | BadSetting) else 1
