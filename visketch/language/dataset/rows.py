"""The data set of instructions that `visketch language prepare` writes, as training and evaluation read it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from visketch.errors import VisketchError
from visketch.language.boxes import Box


@dataclass(frozen=True)
class InstructionRow:
    """One question with its answer. `text` begins with the task: `COUNT: ...`."""

    id: str
    sketch: str  # the pictures' names within the data set
    scene: str
    task: str
    question: str  # of a VQA row its kind
    text: str
    answer: str
    label: str  # what the sketch shows
    style: str
    kind: str
    seen: bool
    boxes: tuple[Box, ...]
    objects: tuple[tuple[str, Box], ...]
    sketch_of: str = ""  # the drawing or photo object that the sketch is of
    scene_of: tuple[str, ...] = ()  # those that the scene is of


class InstructionRows:
    """One split of a data set, in memory."""

    def __init__(self, folder: Path, split: str) -> None:
        """Raises VisketchError if it is not there or a row is damaged."""
        self.folder, self.split, path = folder, split, folder / f"{split}.jsonl"
        self.rows: list[InstructionRow] = []
        scenes: dict[str, tuple[tuple[str, Box], ...]] = {}
        try:
            with path.open() as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        self.rows.append(_row(json.loads(line), scenes))
                    except (ValueError, KeyError, TypeError, IndexError) as error:
                        raise VisketchError(
                            f"{path}: row {number} is no instruction ({error}), prepare it again"
                        ) from None
        except OSError as error:
            message = f"{path}: cannot be read ({error.strerror}); write it with `visketch language prepare`"
            raise VisketchError(message) from None
        if not self.rows:
            raise VisketchError(f"{path}: no row in it; write it with `visketch language prepare`")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[InstructionRow]:
        return iter(self.rows)

    @cached_property
    def labels(self) -> list[str]:
        """The classes that are asked about, in order of the alphabet; a scene may have objects of others."""
        return sorted({row.label for row in self.rows})

    @cached_property
    def sketches(self) -> dict[str, str]:
        """Every sketch's picture → its class."""
        return {row.sketch: row.label for row in self.rows}

    @cached_property
    def scenes(self) -> dict[str, tuple[tuple[str, Box], ...]]:
        """Every scene's picture → its objects."""
        return {row.scene: row.objects for row in self.rows}

    @cached_property
    def pairs(self) -> list[list[InstructionRow]]:
        """The rows that ask about the same two pictures, together."""
        groups: dict[tuple[str, str], list[InstructionRow]] = {}
        for row in self.rows:
            groups.setdefault((row.sketch, row.scene), []).append(row)
        return list(groups.values())


def _row(given: dict, scenes: dict[str, tuple[tuple[str, Box], ...]]) -> InstructionRow:
    sketch, scene = given["images"]
    if scene not in scenes:  # written once, shared by all its rows
        scenes[scene] = tuple((thing["label"], tuple(thing["box"])) for thing in given["objects"])
    return InstructionRow(
        id=given["id"],
        sketch=sketch,
        scene=scene,
        task=given["task"],
        question=given["question"],
        text=given["prompt"][0]["content"][-1]["text"],
        answer=given["completion"][0]["content"][0]["text"],
        label=given["label"],
        style=given["style"],
        kind=given["kind"],
        seen=given["seen"],
        boxes=tuple(tuple(box) for box in given["boxes"]),
        objects=scenes[scene],
        sketch_of=given.get("sketch_of", ""),
        scene_of=tuple(given.get("scene_of", ())),
    )
