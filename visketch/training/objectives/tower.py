"""The objective of the pair tower: sketches by class, scenes by place, and both in a common space.

It has three losses. The first is on the class of a sketch. The second is on every place of a scene: the class of the
object there, or nothing, and its box (the language model can only use what a token contains). The third is the
supervised contrastive loss (Khosla et al., 2020) between sketches and the places of scenes, so that one vector stands
for a class in drawings and in photos.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn

from visketch.language import image
from visketch.language.boxes import Box
from visketch.language.dataset.rows import InstructionRows
from visketch.language.vision.encoder import PairTower, centres

Batch = dict[str, Tensor]
VISIBLE = 0.6  # if less than this share of an object is visible after the scene is moved, the object is ignored
SMOOTHING = 0.1


class TowerBatches:
    """The batch of each step. Half of it are sketches, balanced over the classes, and half are scenes, moved and
    mirrored.
    """

    def __init__(
        self, rows: InstructionRows, labels: list[str], canvas: int, batch: int, steps: int, seed: int
    ) -> None:
        self.folder, self.canvas, self.batch, self.steps, self.seed = rows.folder, canvas, batch, steps, seed
        self.number = {label: i for i, label in enumerate(labels)}
        self.scenes = list(rows.scenes.items())
        self.sketches: list[list[str]] = [[] for _ in labels]
        for path, label in rows.sketches.items():
            self.sketches[self.number[label]].append(path)
        self.known = [number for number, some in enumerate(self.sketches) if some]
        self.grid = centres(canvas // 16).numpy()

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self.seed, step))
        some: dict[str, list] = {"sketch": [], "label": [], "scene": [], "covered": [], "box": []}
        order = rng.permutation(np.resize(self.known, self.batch))
        for place in range(self.batch):
            label = int(order[place])
            of_class = self.sketches[label]
            drawn = self._read(of_class[int(rng.integers(len(of_class)))])
            some["sketch"].append(turned(drawn, rng))
            some["label"].append(label)
            path, objects = self.scenes[int(rng.integers(len(self.scenes)))]
            scene, left = moved(self._read(path), objects, rng)
            covered, box = self.targets(left)
            some["scene"].append(scene)
            some["covered"].append(covered)
            some["box"].append(box)
        return {name: torch.from_numpy(np.stack(values)) for name, values in some.items()}

    def _read(self, path: str) -> UInt8[np.ndarray, "h h 3"]:
        return image.read(self.folder / path, self.canvas).square

    def targets(self, objects: list[tuple[str, Box]]) -> tuple[Int[np.ndarray, " t"], Float[np.ndarray, "t 4"]]:
        """The class at each place (`len(number)`: none of these classes), and its box, as in the function `targets`."""
        return targets(objects, self.number, self.grid)


def targets(
    objects: list[tuple[str, Box]], number: dict[str, int], grid: Float[np.ndarray, "t 2"]
) -> tuple[Int[np.ndarray, " t"], Float[np.ndarray, "t 4"]]:
    """The class of what covers each place (`len(number)`: none of these classes), and its box.

    If an object lies between the places, the nearest place gets it.
    """
    covered, boxes = np.full(len(grid), len(number), np.int64), np.zeros((len(grid), 4), np.float32)
    for label, box in (thing for thing in objects if thing[0] in number):
        low, high = np.array(box[:2]), np.array(box[2:])
        here = np.asarray(((grid >= low) & (grid <= high)).all(axis=1))
        if not here.any():
            here[np.abs(grid - (low + high) / 2).sum(axis=1).argmin()] = True
        covered[here], boxes[here] = number[label], box
    return covered, boxes


def turned(pixels: UInt8[np.ndarray, "h h 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "h h 3"]:
    """A sketch that is turned by up to 15 degrees, stretched, shrunk to 60 % or more, and mirrored half of the time."""
    side = len(pixels)
    angle, stretch = rng.uniform(-np.pi / 12, np.pi / 12), rng.uniform(-0.15, 0.15)
    size, mirror = rng.uniform(0.6, 1.05), -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([mirror * np.exp(stretch), np.exp(-stretch)]) / size
    shift = side / 2 - matrix @ np.array([side / 2, side / 2]) + rng.uniform(-0.06, 0.06, 2) * side
    return _warped(pixels, matrix, shift)


def moved(
    pixels: UInt8[np.ndarray, "h h 3"], objects: tuple[tuple[str, Box], ...], rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "h h 3"], list[tuple[str, Box]]]:
    """A scene that is slightly shrunk or enlarged, shifted, and mirrored half of the time; and its objects at their new
    places.
    """
    side, size = len(pixels), np.exp(rng.uniform(-0.25, 0.2, 2))
    mirror = np.array([-1.0 if rng.random() < 0.5 else 1.0, 1.0])
    shift = rng.uniform(-0.1, 0.1, 2)
    warped = _warped(pixels, np.diag(mirror / size), (0.5 - mirror / size * (0.5 + shift)) * side)
    left = []
    for label, box in objects:
        corners = np.stack([np.array(box[:2]), np.array(box[2:])])
        corners = (corners - 0.5) * mirror * size + 0.5 + shift
        low, high = corners.min(axis=0), corners.max(axis=0)
        inside = np.clip(high, 0, 1) - np.clip(low, 0, 1)
        if inside.prod() >= VISIBLE * (high - low).prod():
            left.append((label, (*np.clip(low, 0, 1).tolist(), *np.clip(high, 0, 1).tolist())))
    return warped, left


def _warped(pixels: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> UInt8[np.ndarray, "h h 3"]:
    """A warped picture, in which each pixel comes from matrix @ (x, y) + shift."""
    (a, b), (c, d) = matrix
    edge = tuple(int(value) for value in np.median(np.concatenate([pixels[0], pixels[-1]]), axis=0))
    picture = Image.fromarray(pixels)
    given = (a, b, float(shift[0]), c, d, float(shift[1]))
    kind = Image.Transform.AFFINE
    return np.asarray(picture.transform(picture.size, kind, given, Image.Resampling.BILINEAR, fillcolor=edge))


class TowerObjective(nn.Module):
    """The loss of a pair tower."""

    def __init__(self, tower: PairTower, temperature: float) -> None:
        super().__init__()
        self.tower, self.temperature = tower, temperature
        self.parts = {"tower": tower}

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        tower, label, covered = self.tower, batch["label"], batch["covered"].flatten()
        both = torch.cat([batch["sketch"], batch["scene"]]).permute(0, 3, 1, 2).float() / 255
        sketch, scene = tower.see(both).chunk(2)
        summary = sketch.mean(dim=1)
        named, told = tower.named(summary).float(), tower.covered(scene).float().flatten(0, 1)
        nothing = told.shape[1] - 1
        there = covered != nothing
        name = F.cross_entropy(named, label, label_smoothing=SMOOTHING)
        cover = F.cross_entropy(told, covered, label_smoothing=SMOOTHING / 2)
        overlap = giou(tower.boxes(scene).flatten(0, 1)[there], batch["box"].flatten(0, 1)[there])
        box = mean_or_zero(1 - overlap)  # a batch may have only empty scenes
        pair = contrast(
            tower.align(summary), label, tower.align(scene).flatten(0, 1), covered, nothing, self.temperature
        )
        with torch.no_grad():
            right = {
                "names": (named.argmax(1) == label).float().mean(),
                "places": mean_or_zero((told.argmax(1) == covered)[there].float()),
                "blank": mean_or_zero((told.argmax(1) == covered)[~there].float()),
                "overlap": mean_or_zero(overlap),
            }
        return name + 2 * cover + box + pair, {"name": name, "cover": cover, "box": box, "pair": pair, **right}

    def settle(self) -> None:
        """Nothing needs to be done before the tower is written."""


def mean_or_zero(values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """The mean of the values, or 0 instead of NaN if there are none."""
    return values.sum() / max(1, len(values))


def contrast(
    sketch: Float[Tensor, "s d"],
    label: Int[Tensor, " s"],
    place: Float[Tensor, "n d"],
    covered: Int[Tensor, " n"],
    nothing: int,
    temperature: float,
) -> Float[Tensor, ""]:
    """The contrastive loss in both directions: from sketches to the places of their class among all places, and from
    places to the sketches of their class.
    """
    likeness = sketch @ place.T / temperature
    same = label[:, None] == covered[None]
    there = same.any(dim=1)
    forth = -(likeness.log_softmax(dim=1) * same).sum(dim=1)[there] / same.sum(dim=1)[there]
    wanted = same.any(dim=0)
    back = -(likeness.log_softmax(dim=0) * same).sum(dim=0)[wanted] / same.sum(dim=0)[wanted]
    return (forth.mean() + back.mean()) / 2 if there.any() else likeness.sum() * 0


def giou(some: Float[Tensor, "n 4"], others: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    """The generalised intersection over union of pairs of boxes (Rezatofighi et al., 2019)."""
    low, high = torch.maximum(some[:, :2], others[:, :2]), torch.minimum(some[:, 2:], others[:, 2:])
    common = (high - low).clamp(min=0).prod(dim=1)
    areas = (some[:, 2:] - some[:, :2]).clamp(min=0).prod(dim=1) + (others[:, 2:] - others[:, :2]).prod(dim=1)
    union = (areas - common).clamp(min=1e-6)
    hull = torch.maximum(some[:, 2:], others[:, 2:]) - torch.minimum(some[:, :2], others[:, :2])
    whole = hull.clamp(min=0).prod(dim=1).clamp(min=1e-6)
    return common / union - (whole - union) / whole
