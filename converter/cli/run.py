"""Runs one command, and turns whatever ends it into one line of text and an exit status."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType

import click

from converter.cli.commands import transship
from converter.cli.flags import Flags
from converter.cli.text import RED, show, show_error
from converter.errors import ConverterError, Usage, from_system

COMPLETION = "_TRANSSHIP_COMPLETE"
"""The environment variable that a shell's completion script sets (click's convention)."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status; nothing is raised."""
    flags = Flags()
    signals: list[int] = []
    try:
        reconfigure()  # flushes buffered output
        with stop_on_signals(signals):
            status = _invoke(arguments, flags)
            if sys.stdout is not None:
                # Flushed here, where a full disk is still reported as an error.
                sys.stdout.flush()
            return status
    except BaseException as error:  # noqa: BLE001 - the one place that handles everything that nothing below expected
        if flags.debug and not isinstance(error, click.exceptions.Exit):
            import traceback

            for line in "".join(traceback.format_exception(error)).splitlines():
                show(line, to=sys.stderr)
        # A signal counts as the cause even if a class or module being created turned it into another error.
        status, text = (128 + signals[0], "interrupted") if signals else exit_status_of(error, flags)
        if text:
            show_error(text, colour=RED)
        return status
    finally:
        _silence_broken_output()


def reconfigure() -> None:
    """Let output escape characters that the locale cannot encode, rather than raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _invoke(arguments: Sequence[str], flags: Flags) -> int:
    if COMPLETION in os.environ:
        transship.main(args=list(arguments), prog_name="transship", complete_var=COMPLETION, obj=flags)
    with transship.make_context("transship", list(arguments), obj=flags) as context:
        if not arguments:
            click.echo(context.get_help(), err=True)
            return 2
        status = transship.invoke(context)
    return status if isinstance(status, int) else 0


def exit_status_of(error: BaseException, flags: Flags) -> tuple[int, str]:
    """The exit status for what ended the command, and the line to print (empty: none)."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code, ""
        case SystemExit():
            return (error.code if isinstance(error.code, int) else flags.failed), ""
        case click.UsageError():
            from converter.cli.usage_errors import text_of

            return 2, text_of(error)
        case Usage():
            return 2, str(error)
        case ConverterError():
            return flags.failed, str(error)
        case KeyboardInterrupt() | click.Abort():
            return 130, "interrupted"
        case BrokenPipeError():
            # The reader of our output has closed it on purpose.
            return flags.failed, ""
        case OSError():
            nameless = error.filename is None and error.errno == errno.ENOSPC
            return flags.failed, f"{'cannot write standard output: ' if nameless else ''}{from_system(error)}"
        case MemoryError():
            return flags.failed, "out of memory (--jobs 1 needs less)"
        case RecursionError():
            return flags.failed, "the input is nested too deeply"
    # The text may hold anything, even secrets; --debug shows it.
    return flags.failed, f"internal error ({type(error).__name__}): please report it, with the output of --debug"


@contextmanager
def stop_on_signals(signals: list[int]) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP unwind the program as Control-C does, and add their numbers to ``signals``; what
    nohup or a shell's ``&`` ignores stays ignored.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        raise KeyboardInterrupt

    with ExitStack() as restored:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                restored.callback(signal.signal, number, signal.signal(number, stop))
        yield


def _silence_broken_output() -> None:
    # The interpreter flushes once more at exit; it would print an error, and end with a status of its own.
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
