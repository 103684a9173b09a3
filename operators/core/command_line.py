"""How a command line ends: its exit code, and what it says when something is wrong."""

from __future__ import annotations

import difflib
import gc
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from cyclopts import App, CycloptsError, MissingArgumentError, UnknownCommandError

from operators.core.extras import missing_package
from operators.core.help_format import TwoColumns
from operators.core.options import RunOptions, flag_of

if TYPE_CHECKING:
    from cyclopts import ArgumentCollection

__all__ = ["EXIT_CODES", "new_app", "report_error", "run_command"]

EXIT_CODES = """\
Exit codes:
  0 done   2 usage   3 input cannot be used   4 could not segment
  5 could not write   1 a defect of SarcoMAP
  130, 143 interrupted (Ctrl-C, SIGTERM): nothing is left behind"""

#: Arguments of the commands whose help is shown now. None while no help is asked for.
_SHOWN_IN_HELP: ContextVar[dict[int, ArgumentCollection] | None] = ContextVar("_SHOWN_IN_HELP", default=None)


class _Command(App):
    """A cyclopts App that reads its function's signature once for a help page; cyclopts reads it three times."""

    def assemble_argument_collection(self, **how: Any) -> ArgumentCollection:
        known = _SHOWN_IN_HELP.get()
        if known is None:
            return super().assemble_argument_collection(**how)
        if id(self) not in known:
            known[id(self)] = super().assemble_argument_collection(**how | {"parse_docstring": True})
        return known[id(self)]


def new_app(name: str, help_text: str, epilogue: str = "") -> App:
    """A command line in our style: plain help, short messages, errors left to `run_command`."""
    return _Command(
        name=name,
        help=help_text,
        help_epilogue=epilogue,  # set even when empty, or the parent command's epilogue would appear
        help_format="plaintext",
        help_formatter=TwoColumns(),
        version_flags=[],
        result_action="return_value",
        print_error=False,
        exit_on_error=False,
    )


def run_command(
    app: App,
    arguments: Sequence[str] | None = None,
    *,
    options: Sequence[type] = (RunOptions,),
    before_error: Callable[[], None] = lambda: None,
) -> int:
    """Run a command line and return its exit code; nothing is raised.

    Parameters
    ----------
    app : App
        From `new_app`. Its commands return an exit code or None.
    arguments : sequence of str, optional
        The arguments of the process by default.
    options : sequence of type
        Dataclasses in which to look up the flag of a wrong option.
    before_error : callable
        Called before an error is reported, for example to let an interruption finish.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "" in words:  # an unset variable of a script; as a path it would be the current folder
        before = words[words.index("") - 1] if words.index("") else "the first word"
        print(f"error: an empty word after {before}; expected a value. Is a variable unset?", file=sys.stderr)
        return 2
    if isinstance(sys.stdout, TextIOWrapper):  # a path may hold bytes of another encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    wants_help = bool({"-h", "--help"} & set(words))
    shown = _SHOWN_IN_HELP.set({} if wants_help else None)
    collecting = gc.isenabled()
    if wants_help:
        gc.disable()  # a help page makes many objects and no garbage; looking for it takes a tenth of the time
    try:
        code = app(words)
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        _report_usage(app, error, words)
        return 2
    except BrokenPipeError:  # whoever read our output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        before_error()
        return report_error(error, options)
    finally:
        _SHOWN_IN_HELP.reset(shown)
        if collecting:
            gc.enable()


def report_error(error: Exception, options: Sequence[type] = (RunOptions,)) -> int:
    """Print one line on standard error that says what went wrong; with log level DEBUG, also a traceback.

    Returns
    -------
    int
        The exit code.
    """
    if logging.getLogger().getEffectiveLevel() <= logging.DEBUG:
        traceback.print_exception(error)
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):  # raised on purpose, by us or by the analysis (which has its own hierarchy)
        text = str(error)
        if field := getattr(error, "field", ""):  # the library names the field; the command line shows its flag
            text = text.replace(field, flag_of(field, *options), 1)
        print(f"error: {' '.join(text.split())}", file=sys.stderr)
        return code
    if isinstance(error, ImportError) and (told := missing_package(error)):
        print(f"error: {told}", file=sys.stderr)
        return 2
    print(
        f"error: a defect of SarcoMAP ({type(error).__name__}). "
        "Run again with --log-level DEBUG and report what it prints.",
        file=sys.stderr,
    )
    return 1


def _report_usage(app: App, error: CycloptsError, words: Sequence[str]) -> None:
    """Print two lines: what is wrong (with the nearest valid word), and where to find help."""
    chain = tuple(error.command_chain or ())
    said = " ".join(_said(app, error, words).split())
    print(f"error: {said}\nSee `{' '.join((*app.name[:1], *chain))} --help`.", file=sys.stderr)


def _said(app: App, error: CycloptsError, words: Sequence[str]) -> str:
    if isinstance(error, UnknownCommandError):  # cyclopts's own message would import every command to list them
        word = (error.unused_tokens or [""])[0]
        for name in error.command_chain or ():
            app = app[name]
        known = [name for name in app if not name.startswith("-")]
        near = difflib.get_close_matches(word, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
        return f"unknown command {word!r}; {hint}"
    if isinstance(error, MissingArgumentError) and error.argument is not None and not error.tokens_so_far:
        name = max(error.argument.names, key=len)
        near = difflib.get_close_matches(name, [word for word in words if word.startswith("-") and word != name], n=1)
        return f"{name} is missing" + (f"; is {near[0]} meant for it?" if near else ", or has no value.")
    return re.sub(
        r'^Command "[\w -]+" parameter (\S+) requires (\d+) positional arguments', r"\1 needs \2 values", str(error)
    )
