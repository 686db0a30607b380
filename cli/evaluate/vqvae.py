"""`visketch evaluate vqvae`: what the code book costs."""

from dataclasses import asdict

from .. import console, options
from . import given


def vqvae(
    data: given.Data = given.DATA,
    split: given.Split = "test",
    limit: given.Limit = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """How well drawings survive being written in codes and read back.

    \b
    Example:
      visketch evaluate vqvae --data quickdraw.arrow --limit 2000
    """
    model, store = given.load(checkpoint, device, data, split, "vqvae")
    from visketch.evaluate import tables as library

    with console.progress() as bar:
        task = bar.add_task("drawings")
        found = library.vqvae(
            model, store, split, limit, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if as_json:
        console.document(given.about(data, split, model) | asdict(found))
        return
    console.say(f"{found.sketches:,} drawings ({split})")
    rows = [
        ["ink F1, within 1 pixel", f"{100 * found.ink_f1:.1f} %"],
        ["mean squared error of the field", f"{found.mse:.5f}"],
        ["code book perplexity", f"{found.perplexity:.1f} of {found.codebook_size}"],
    ]
    console.table(["", ""], rows)
