"""Write a data set of instructions: pictures, rows of chat in JSON lines, and a description.

pictures/sketch/   the queries, dark on white       train.jsonl
pictures/scene/    the scenes                       validation.jsonl
contact.png        some rows as pictures            test.jsonl
dataset.json       counts, seed, sources            README.md   the same in words
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from visketch.atomic import replacing
from visketch.data.folder import SPLITS
from visketch.errors import UsageError, VisketchError
from visketch.language.dataset import instructions
from visketch.language.dataset.instructions import Row
from visketch.language.dataset.photo_scenes import Annotated
from visketch.language.dataset.scenes import Query, Scene, Scenery, Styles, choose, counted
from visketch.render.contact_sheet import ContactSheet

# These classes have many drawings, many photos, or both.
# fmt: off
SEEN = (
    "airplane", "backpack", "butterfly", "camera", "car", "cat", "chair", "crab", "cup", "eye", "flower", "guitar",
    "headphones", "helicopter", "motorbike", "piano", "sailboat", "shoe", "snowman", "sun", "teapot", "television",
    "umbrella", "wristwatch",
)
# fmt: on
UNSEEN = ("bicycle", "dog", "dolphin", "elephant", "flamingo", "pizza", "scissors", "stop sign")
MOST = 6  # the most objects of a scene
FORMATS = ("jsonl", "llava")


@dataclass(frozen=True)
class DatasetPlan:
    """What to make: the classes, the number of scenes of each kind and split, and the number of objects in a scene."""

    seen: tuple[str, ...] = SEEN
    unseen: tuple[str, ...] = UNSEEN  # these are only in the test split
    train: int = 12_000
    validation: int = 600
    test: int = 600  # plus half as many scenes whose question is about an unseen class
    most: int = MOST
    seed: int = 0

    @property
    def total(self) -> int:
        """The number of scenes of each kind."""
        return sum(len(self.scenes(split)) for split in SPLITS)

    def chance(self, kind: str, split: str, number: int) -> np.random.Generator:
        """The random generator of a scene, which decides everything random about it."""
        return np.random.default_rng([self.seed, SPLITS.index(split), number, *kind.encode()])

    def scenes(self, split: str) -> list[bool]:
        """For each scene of a split, whether it has only seen classes."""
        unseen = self.test // 2 if split == "test" and self.unseen else 0
        return [True] * int(getattr(self, split)) + [False] * unseen


def prepare(
    scenery: dict[str, Scenery | Annotated],
    styles: Styles,
    out: Path,
    plan: DatasetPlan,
    sources: dict | None = None,
    formats: Sequence[str] = ("jsonl",),
    progress: Callable[[int], None] | None = None,
) -> dict:
    """Write a data set to the folder `out`, which appears when it is complete; returns the content of dataset.json.

    `scenery` gives, for each kind of scene, what scenes are made of, or whole photos. `styles` are the styles of
    queries. `sources` is what dataset.json says about their origin. With "llava" in `formats`, files for LLaVA's own
    trainer are added. `progress` is called with the number of scenes done. The same plan gives the same rows. Raises
    UsageError if `out` exists or there are too few classes, VisketchError if the data set cannot be written.
    """
    out = Path(out)
    if out.exists():
        raise UsageError(f"{out}: exists already; name another folder, or remove it")
    if len(plan.seen) < 2 or set(plan.seen) & set(plan.unseen):
        raise UsageError("give at least two classes, and none that is both seen and unseen")
    with replacing(out) as part:
        part.mkdir()
        writer, done = Writer(part, formats), 0
        for split in SPLITS:
            with writer.split(split):
                for kind, source in scenery.items():
                    if isinstance(source, Annotated):
                        asked = annotated(kind, source, styles, split, plan)
                    else:
                        asked = compose(kind, source, styles, split, plan)
                    for scene, rows in asked:
                        writer.add(kind, split, scene, rows)
                        done += 1
                        if progress:
                            progress(done)
        facts = {"seed": plan.seed, "seen": plan.seen, "unseen": plan.unseen, "most": plan.most}
        facts |= {"styles": [*styles.styles], "styles_in_test_alone": sorted(styles.held_out)}
        facts["sources"] = sources or {}
        return writer.finish(facts)


def compose(
    kind: str, source: Scenery, styles: Styles, split: str, plan: DatasetPlan
) -> Iterator[tuple[Scene, list[Row]]]:
    """Scenes with their rows. Every scene has its own random generator."""
    here = styles.labels(split, source.labels(split))
    seen = [label for label in plan.seen if label in here]
    unseen = [label for label in plan.unseen if label in here]
    if len(seen) < 2:
        first = ", ".join([*plan.seen[:3], *(["..."] if len(plan.seen) > 3 else [])])
        those = f"only {seen[0]} has" if seen else "none has"
        told = f"of the {len(plan.seen)} classes ({first}) {those} {split} objects, and two are needed"
        raise VisketchError(f"{kind}: {told}; name the classes of your data with --class, or add objects")
    for number, of_seen in enumerate(plan.scenes(split)):
        if not of_seen and len(unseen) < 2:
            return
        rng = plan.chance(kind, split, number)
        asked = seen if of_seen else unseen
        labels = choose(int(rng.integers(1, plan.most + 1)), seen if of_seen else [*seen, *unseen], rng, asked)
        scene = source.scene(labels, split, rng)
        counts = {label: times for label, times in counted(scene.things).items() if label in asked}
        others = [label for label in asked if label not in counts]
        if others:  # otherwise there is no class that the scene lacks
            shares = np.array([*counts.values()]) / sum(counts.values())
            there = styles.query(str(rng.choice([*counts], p=shares)), split, rng, scene.used)
            absent = styles.query(str(rng.choice(others)), split, rng, scene.used)
            yield scene, list(instructions.rows(scene, there, absent, rng, plan.seen))


def annotated(
    kind: str, source: Annotated, styles: Styles, split: str, plan: DatasetPlan
) -> Iterator[tuple[Scene, list[Row]]]:
    """Whole photos, with questions about each of their classes for which there are sketches."""
    known = styles.labels(split, {item.label for photo in source.photos for item in photo.objects})
    if split != "test":
        known &= set(plan.seen)
    for number, scene in enumerate(source.scenes(split)):
        rng = plan.chance(kind, split, number)
        here = counted(scene.things)
        others = sorted(known - set(here) - scene.unsure)
        rows: list[Row] = []
        for label in [label for label in here if label in known] if others else ():
            try:
                there = styles.query(label, split, rng, scene.used)
            except VisketchError:  # this happens if all sketches of the class come from this photo
                continue
            absent = styles.query(str(rng.choice(others)), split, rng, scene.used)
            rows += instructions.rows(scene, there, absent, rng, plan.seen)
        if rows:
            yield scene, rows


class Writer:
    """The folder that is being written. A picture is written once, however many rows use it."""

    def __init__(self, folder: Path, formats: Sequence[str]) -> None:
        self.folder, self.formats = folder, formats
        self.sketches: set[str] = set()
        self.counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        self.contact = ContactSheet()
        for name in ("sketch", "scene"):
            (folder / "pictures" / name).mkdir(parents=True)

    def split(self, split: str) -> "Writer":
        self.lines = (self.folder / f"{split}.jsonl").open("w", encoding="utf-8")
        llava = self.folder / f"llava-{split}.json"
        self.llava = llava.open("w", encoding="utf-8") if "llava" in self.formats else None
        self.before = "[\n"
        return self

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        self.lines.close()
        if self.llava:
            self.llava.write("[]" if self.before == "[\n" else "\n]")
            self.llava.close()

    def add(self, kind: str, split: str, scene: Scene, rows: list[Row]) -> None:
        counts = self.counts[split]
        number = counts[f"{kind} scenes"]
        counts[f"{kind} scenes"] += 1
        name = f"{split}-{kind}-{number:06}"
        colour = scene.pixels.ndim == 3
        path = f"pictures/scene/{name}{'.jpg' if colour else '.png'}"
        picture = Image.fromarray(scene.pixels)
        picture.save(self.folder / path, quality=90, compress_level=1)  # each format uses only its own argument
        for place, row in enumerate(rows):
            query = row.pop("query")
            facts: Row = {"id": f"{name}-{place}", "images": [self.sketch(query), path], **row}
            facts |= {"split": split, "kind": kind, "objects": instructions.objects(scene.things)}
            self.lines.write(json.dumps(facts) + "\n")
            if self.llava:
                self.llava.write(self.before + json.dumps(instructions.llava(facts)))
                self.before = ",\n"
            counts[f"{kind} {row['task']}"] += 1
            self.contact.offer(split, kind, facts, query.pixels, scene.pixels)

    def sketch(self, query: Query) -> str:
        path = f"pictures/sketch/{query.name}.png"
        if path not in self.sketches:
            self.sketches.add(path)
            Image.fromarray(query.pixels).save(self.folder / path, compress_level=1)
        return path

    def finish(self, facts: dict) -> dict:
        counts = {split: dict(counts) for split, counts in self.counts.items()}
        facts = facts | {"sketches": len(self.sketches), "counts": counts}
        (self.folder / "dataset.json").write_text(json.dumps(facts, indent=2, default=str) + "\n", encoding="utf-8")
        (self.folder / "README.md").write_text(card(facts), encoding="utf-8")
        self.contact.write(self.folder / "contact.png")
        return facts


def card(facts: dict) -> str:
    """The description of the data set, as a README."""
    lines = [
        "# Sketches, scenes and instructions",
        "Written by `visketch language prepare`; the format is described in visketch's docs/language-data.md.",
        f"Classes: {', '.join(facts['seen'])}.",
        f"Only in the test split: {', '.join(facts['unseen']) or 'none'}.",
        f"Query sketches: {facts['sketches']:,}, of the styles {', '.join(facts['styles'])}"
        f" (only in the test split: {', '.join(facts['styles_in_test_alone']) or 'none'}).",
        "| split | what | how many |\n|---|---|---|\n"
        + "\n".join(
            f"| {split} | {what} | {n:,} |" for split, counts in facts["counts"].items() for what, n in counts.items()
        ),
        f"Sources: {json.dumps(facts['sources'])}. What is made of them keeps their licences: *Quick, Draw!* is"
        " CC BY 4.0; COCO's photos have their own and must not be passed on.",
    ]
    return "\n\n".join(lines) + "\n"
