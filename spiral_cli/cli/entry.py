"""The entry: runs a verb and turns whatever it raises into one block of text and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import typer

from spiral_cli.cli.output import Output
from spiral_cli.cli.verbs import app
from spiral_cli.errors import InterruptedRun, RecipeError, SpiralError

OUT_OF_MEMORY = ("ResourceExhaustedError",)  # TensorFlow's, named so that it need not be imported


def run() -> int:
    """Run the command line in ``sys.argv`` and return its exit code."""
    arguments = sys.argv[1:]
    output = Output("--json" in arguments, "--verbose" in arguments)
    try:
        code = app(arguments, prog_name="spiral", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return fail(error, output, arguments)
    return code or 0


def fail(error: Exception, output: Output, arguments: list[str]) -> int:
    """Tell the person, and with ``--json`` the machine, what went wrong; return the exit code."""
    message, code = explain(error, arguments)
    if output.verbose and not isinstance(error, SpiralError | typer.TyperException):
        sys.excepthook(type(error), error, error.__traceback__)
    output.complain(message)
    facts: dict[str, Any] = {"type": type(error).__name__, "message": message, "exit_code": code}
    if isinstance(error, RecipeError):
        facts["problems"] = [vars(problem) for problem in error.problems]
    output.result({"error": facts})
    return code


def explain(error: Exception, arguments: list[str]) -> tuple[str, int]:
    """Return the message and the exit code of an error."""
    match error:
        case InterruptedRun():
            return f"{error}:\n{again(arguments)}", error.exit_code
        case SpiralError():
            return str(error), error.exit_code
        case typer.TyperException():
            return f"{error.format_message()}\nsee {help_command(arguments)}", 2
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return f"the disk is full ({error}); what was written before is intact", 1
        case MemoryError():
            return out_of_memory(error), 1
        case _ if type(error).__name__ in OUT_OF_MEMORY:
            return out_of_memory(error), 1
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}\nthis is a bug in spiral; run again with --verbose to see where", 1


def out_of_memory(error: Exception) -> str:
    """Return what to do where memory is short."""
    said = str(error).strip().partition("\n")[0]
    return f"out of memory{f' ({said})' if said else ''}; a smaller train.batch_size or data.views needs less"


def again(arguments: list[str]) -> str:
    """Return the command that goes on with an interrupted run: the same one, without ``--fresh``."""
    import shlex

    return shlex.join(["spiral", *(argument for argument in arguments if argument != "--fresh")])


def help_command(arguments: list[str]) -> str:
    """Return the help that fits a wrong command line."""
    verbs = ("train-teacher", *(command.callback.__name__ for command in app.registered_commands if command.callback))
    return f"spiral {arguments[0]} --help" if arguments and arguments[0] in verbs else "spiral --help"
