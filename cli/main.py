"""The command `visketch`: its verbs, and how it reports errors.

This module imports nothing heavy, so that --help is fast. Each verb imports what it needs when it runs.
"""

import atexit
import codecs
import gc
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from visketch.errors import PassedOverWarning, RenamedWarning

from .animate import animate
from .ask import ask
from .classify import classify
from .complete import complete
from .count import count
from .data import app as data
from .evaluate.app import app as evaluate
from .export import app as export
from .generate import generate
from .index import index
from .info import info
from .language import app as language
from .locate import locate
from .morph import morph
from .photos import app as photos
from .push import push
from .refine import refine
from .search import search
from .serve import serve
from .shared import console
from .shared.old_spellings import renewed
from .show import show
from .trace import trace
from .train import train

# They are in the order of --help: first what is done with drawings, then what is done with data and weights.
DRAWINGS = ("generate", "classify", "refine", "complete", "trace", "animate", "morph", "show", "index", "search")
SCENES = ("count", "locate", "ask", "photos")
ORDER = (*DRAWINGS, *SCENES, "serve", "data", "language", "train", "evaluate", "export", "push", "info")


class Verbs(TyperGroup):
    def invoke(self, context: Any) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:  # typer would exit without a message
            console.note("interrupted; the files that were written are complete")
            raise typer.Exit(console.INTERRUPTED) from None

    def list_commands(self, context: Any) -> list[str]:
        return sorted(self.commands, key=ORDER.index)

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> None:
        """Run a verb and exit: 0 done, 1 something failed, 2 wrong usage, 130 interrupted. Never prints a traceback."""
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # as in a process that was started with the stream closed
                setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  (it stays open)
        try:
            words = renewed(sys.argv[1:] if args is None else args)
            code = super().main(words, *more, **{**extra, "standalone_mode": False}) or console.OK
            sys.stdout.flush()
        except Exception as problem:
            code = console.fail(problem)
        sys.exit(code)


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is faster and narrower, and its examples can be copied
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every verb has examples: visketch generate --help",
)
app.command()(generate)
app.command()(classify)
app.command()(refine)
app.command()(complete)
app.command()(trace)
app.command()(animate)
app.command()(morph)
app.command()(show)
app.command()(index)
app.command()(search)
app.command()(count)
app.command()(locate)
app.command()(ask)
app.command()(serve)
app.command()(train)
app.command()(push)
app.command()(info)
app.add_typer(photos, name="photos")
app.add_typer(data, name="data")
app.add_typer(language, name="language")
app.add_typer(evaluate, name="evaluate")
app.add_typer(export, name="export")


def print_version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        print(f"visketch {version('visketch')}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=print_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error.", envvar="VISKETCH_DEBUG")
    ] = False,
) -> None:
    """Draw, recognise and study hand-drawn sketches, offline."""
    console.debug = debug
    if not debug:
        warnings.simplefilter("ignore")  # these are warnings of libraries, meant for their developers
    for own in (RenamedWarning, PassedOverWarning):
        warnings.simplefilter("always", own)
    warnings.showwarning = console.show_warning


def run() -> None:
    """The entry point of the command."""
    # torch reads this when it is imported. Threads that spin while they wait made drawing three times as slow on busy
    # cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # At exit, Python searches all objects for garbage, several times. This takes 1.2 s of CPU for the half million
    # objects of torch and diffusers, none of which is garbage. Frozen objects are skipped.
    atexit.register(gc.freeze)
    codecs.register_error("plainly", console.plainly)
    # A file name may be no valid text, and a terminal may know few characters
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "plainly"), (sys.stderr, "plainly")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    app(prog_name="visketch")


if __name__ == "__main__":
    run()
