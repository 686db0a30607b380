"""`visketch info`: versions, devices, and the contents of a checkpoint."""

import platform
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import typer

from visketch.errors import VisketchError

from .shared import console, options

LIBRARIES = ("torch", "numpy", "scipy", "diffusers", "accelerate", "safetensors", "pyarrow", "pillow", "typer")


def info(
    checkpoint: options.Checkpoint = None,
    as_json: options.Json = False,
) -> None:
    """Print versions, devices, and what a checkpoint holds.

    Only reads: no file is written.

    \b
    Examples:
      visketch info
      visketch info --checkpoint runs/mine --json
    """
    with console.waiting("Looking ..."):
        found: dict[str, Any] = {"versions": versions(), "devices": devices(), "warnings": warnings()}
        try:
            found["checkpoint"] = about(checkpoint)
        except VisketchError as error:
            if checkpoint is not None:
                raise
            found["checkpoint"] = None
            found["warnings"].append(str(error))
    broken = [part["error"] for part in (found["checkpoint"] or {}).get("parts", {}).values() if "error" in part]
    if as_json:
        console.document(found)
    else:
        show(found)
    for message in found["warnings"]:
        console.warn(message)
    for message in broken:
        console.error(message)
    if broken:
        raise typer.Exit(console.FAILED)


def versions() -> dict[str, str]:
    found = {"visketch": metadata.version("visketch"), "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def devices() -> list[str]:
    import torch

    cards = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    found = [f"cpu ({console.many(torch.get_num_threads(), 'thread')})"]
    found += [f"cuda:{card} ({torch.cuda.get_device_name(card)})" for card in cards]
    return found + (["mps"] if torch.backends.mps.is_available() else [])


def warnings() -> list[str]:
    """Known problems of this installation. A torchvision that does not fit torch breaks diffusers, which imports it."""
    if find_spec("torchvision") is None:
        return []
    try:
        __import__("torchvision")
    except Exception as error:
        reason = str(error).splitlines()[0]
        return [f"torchvision does not fit torch and breaks diffusers ({reason}); pip uninstall torchvision"]
    return []


def about(checkpoint: str | None) -> dict[str, Any]:
    """The contents of a checkpoint. Raises VisketchError if there is none."""
    from visketch.checkpoint import PARTS, part_file, read_metadata
    from visketch.config import find, read_config

    folder = find(checkpoint)
    config = read_config(folder)
    parts: dict[str, dict[str, Any]] = {}
    for name in PARTS:
        path = part_file(folder, name)
        if path.exists():
            try:
                there = read_metadata(folder, name)
                parts[name] = {"bytes": path.stat().st_size, **there}
            except VisketchError as error:
                parts[name] = {"bytes": path.stat().st_size, "error": str(error)}
    return {
        "folder": folder,
        "name": config.name,
        "canvas": config.sketch.canvas,
        "depth": config.sketch.depth,
        "classes": len(config.labels),
        "parts": parts,
        "card": next(iter(sorted(folder.glob("*.md"))), None),
    }


def show(found: dict[str, Any]) -> None:
    versions = [f"{name} {version}" for name, version in found["versions"].items()]
    console.say(
        ", ".join(versions[:3]), f"with     {', '.join(versions[3:])}", f"devices  {', '.join(found['devices'])}"
    )
    there = found["checkpoint"]
    if there is None:
        return
    console.say("", f"checkpoint {there['name']}: {there['folder']}")
    console.say(f"{there['classes']} classes, {there['canvas']} pixels, depth {there['depth']}")
    console.say(f"card: {there['card']}" if there["card"] else "no model card", "")
    rows = []
    for name, part in there["parts"].items():
        facts = part.get("facts", {})
        steps = f"{facts['step']:,} of {facts['steps']:,}" if {"step", "steps"} <= facts.keys() else "?"
        steps += f", after {facts['before']:,}" if facts.get("before") else ""
        rows.append([name, f"{part['bytes'] / 1e6:.1f} MB", steps, part.get("fingerprint", "broken")])
    console.table(["part", "size", "steps", "fingerprint"], rows)
