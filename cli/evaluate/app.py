"""`visketch evaluate`: measure a checkpoint."""

import typer

from .classify import classify
from .explain import explain
from .generate import generate
from .language import language
from .search import search
from .vqvae import vqvae

app = typer.Typer(no_args_is_help=True, help="Measure a checkpoint on a data set.")
app.command()(vqvae)
app.command()(classify)
app.command()(generate)
app.command()(search)
app.command()(explain)
app.command()(language)
