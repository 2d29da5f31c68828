"""The `whet` command: its commands, and how they end.

Exit status: 0 done; 1 an error that the user can act on; 2 wrong usage; 130 and 143 stopped by the user or
the system. A traceback is a bug of ours.
"""

import io
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from whet.cli import (
    check,
    compare,
    demo,
    evaluate,
    glue,
    models,
    predict,
    pretrain,
    recipes,
    search,
    select,
    train,
)
from whet.errors import UsageError, WhetError
from whet.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Fine-tune a pre-trained encoder on your own labelled text, without a network.",
)
app.command("demo")(demo.command)
app.command("check")(check.command)
app.command("train")(train.command)
app.command("search")(search.command)
app.command("pretrain")(pretrain.command)
app.command("eval")(evaluate.command)
app.command("predict")(predict.command)
app.command("compare")(compare.command)
app.command("select")(select.command)
app.command("glue")(glue.command)
app.command("models")(models.command)
app.command("recipes")(recipes.command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"whet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Fine-tune a pre-trained encoder on your own labelled text, without a network."""


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def main() -> None:
    """Run the command line and end the process with its status."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a label that the terminal has no letters for
    try:
        status = app(standalone_mode=False)
        if sys.stdout is not None:  # closed by whoever began us
            sys.stdout.flush()
    except SystemExit as leaving:
        # rich and click end with status 1 when the reader has gone, as in `whet ... | head`
        sys.exit(0 if isinstance(leaving.__context__, BrokenPipeError) else leaving.code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (KeyboardInterrupt, typer.Abort):  # typer makes the one of the other
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
    except _Terminated:
        print("\nStopped by the system (SIGTERM).", file=sys.stderr)
        sys.exit(143)
    except typer.Exit as leaving:
        sys.exit(leaving.exit_code)
    except WhetError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        print(
            f"Error: {error.strerror or error}{f': {error.filename}' if error.filename else ''}",
            file=sys.stderr,
        )
        sys.exit(1)
    except Exception as error:
        # click's own, whichever copy of it typer carries
        if not (hasattr(error, "show") and hasattr(error, "exit_code")):
            raise
        error.show()
        sys.exit(error.exit_code)
    sys.exit(status if isinstance(status, int) else 0)
