"""Read the data set of instructions that `visketch language prepare` writes, for training and evaluation."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from visketch.errors import VisketchError, reason
from visketch.language.boxes import Box


@dataclass(frozen=True)
class InstructionRow:
    """One question with its answer. `text` begins with the task, as in `COUNT: ...`."""

    id: str
    sketch: str  # the names of pictures within the data set
    scene: str
    task: str
    question: str  # the kind of question of a VQA row
    text: str
    answer: str
    label: str  # the class of the sketch
    style: str
    kind: str
    seen: bool
    boxes: tuple[Box, ...]
    objects: tuple[tuple[str, Box], ...]
    sketch_of: str = ""  # the drawing or photo object from which the sketch was made
    scene_of: tuple[str, ...] = ()  # the drawings or photo objects from which the scene was made


class InstructionRows:
    """One split of a data set, in memory."""

    def __init__(self, folder: Path, split: str) -> None:
        """Read a split of the data set in a folder. Raises VisketchError if the split does not exist, or if a row is
        damaged.
        """
        self.folder, self.split, path = folder, split, folder / f"{split}.jsonl"
        self.rows: list[InstructionRow] = []
        scenes: dict[str, tuple[tuple[str, Box], ...]] = {}
        try:
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        self.rows.append(_row(json.loads(line), scenes))
                    except (ValueError, KeyError, TypeError, IndexError) as error:
                        raise VisketchError(
                            f"{path}: row {number} is not an instruction ({error}); prepare the data set again"
                        ) from None
        except OSError as error:
            message = f"{path}: cannot be read ({reason(error)}); write it with `visketch language prepare`"
            raise VisketchError(message) from None
        if not self.rows:
            raise VisketchError(f"{path}: it has no rows; write it with `visketch language prepare`")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[InstructionRow]:
        return iter(self.rows)

    @cached_property
    def labels(self) -> list[str]:
        """The classes of the questions, in alphabetical order. A scene may have objects of other classes as well."""
        return sorted({row.label for row in self.rows})

    @cached_property
    def sketches(self) -> dict[str, str]:
        """The class of every sketch's picture."""
        return {row.sketch: row.label for row in self.rows}

    @cached_property
    def scenes(self) -> dict[str, tuple[tuple[str, Box], ...]]:
        """The objects of every scene's picture."""
        return {row.scene: row.objects for row in self.rows}

    @cached_property
    def pairs(self) -> list[list[InstructionRow]]:
        """The rows, grouped by the two pictures that they are about."""
        groups: dict[tuple[str, str], list[InstructionRow]] = {}
        for row in self.rows:
            groups.setdefault((row.sketch, row.scene), []).append(row)
        return list(groups.values())


def _row(given: dict, scenes: dict[str, tuple[tuple[str, Box], ...]]) -> InstructionRow:
    sketch, scene = given["images"]
    if scene not in scenes:  # the objects are stored once, and all rows of the scene share them
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
