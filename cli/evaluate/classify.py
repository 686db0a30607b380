"""`visketch evaluate classify`: how often drawings are recognised."""

from dataclasses import asdict

from .. import console, options
from . import given


def classify(
    data: given.Data = given.DATA,
    split: given.Split = "test",
    limit: given.Limit = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """How often drawings are recognised.

    \b
    Example:
      visketch evaluate classify --data quickdraw.arrow --split test
    """
    model, store = given.load(checkpoint, device, data, split, "encoder", "classifier")
    from visketch.evaluate import recognition

    with console.progress() as bar:
        task = bar.add_task("drawings")
        found = recognition.classify(
            model, store, split, limit, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if as_json:
        console.document(given.about(data, split, model) | asdict(found))
        return
    console.say(f"{found.sketches:,} drawings ({split}), {len(store.labels)} classes")
    rows = [
        ["top-1", f"{100 * found.top1:.1f} %"],
        ["top-5", f"{100 * found.top5:.1f} %"],
        ["top-1, mean over classes", f"{100 * found.class_mean:.1f} %"],
        ["a drawing takes", f"{found.milliseconds:.1f} ms"],
    ]
    console.table(["", ""], rows)
