"""The recogniser: classifies the regions of a drawn scene, and the sketch, among all classes of ViSketch.

The tower finds where there is an object, which works for objects of any class. ViSketch classifies what is drawn there
like any other drawing. So a sketch of any of ViSketch's classes can be a query, and not only a sketch of a class that
the tower was trained on.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from visketch.config import find, read_config
from visketch.data import ink
from visketch.geometry.separate import separate
from visketch.geometry.sketch import Sketch
from visketch.language import image
from visketch.language.answers import Detection
from visketch.language.boxes import overlaps, shares
from visketch.language.detect.matcher import SOMETHING, Matcher, Region
from visketch.language.vision.features import EncodedPicture
from visketch.model import SketchModel

MARGIN = 0.05  # the margin that is added around a region, as a share of its longer side
TEMPERATURE = 2.0  # softens ViSketch's probabilities, so that the tower decides where ViSketch is unsure
NEAR = 0.04  # ink that is no farther apart than this share of the square's side belongs to one drawing
DRAWN = 0.1  # a drawing that the tower overlooks is at least as wide or high as this share of the square's side
COVERS = 0.8  # a region covers a drawing if their boxes overlap by this much
ALIKE, CUT = 0.8, 0.5  # a drawing replaces its parts, or pieces cut out of it, from this share of their probability
PARTLY = 0.8  # a region is only partly in another one if less than this share of its box is
AT_ONCE = 64  # the number of drawings that are classified together


@cache
def classes() -> frozenset[str]:
    """The classes of the shipped ViSketch. They are read without loading its weights."""
    return frozenset(read_config(find()).labels)


class Recogniser:
    """Finds a sketch's object in drawn scenes. It classifies each picture once, however often it is asked about."""

    def __init__(self, matcher: Matcher, device: str = "cpu", model: SketchModel | None = None) -> None:
        """`model` classifies the drawings; by default the shipped checkpoint."""
        self.matcher, self.model = matcher, model or SketchModel.load(device=device)
        self.sketches: WeakKeyDictionary[EncodedPicture, Float[Tensor, " c"]] = WeakKeyDictionary()
        self.scenes: WeakKeyDictionary[EncodedPicture, list[Region]] = WeakKeyDictionary()

    @cached_property
    def shared(self) -> tuple[list[int], list[int]]:
        """The classes that the tower also knows: their numbers in ViSketch and in the tower."""
        here, there = self.model.labels, self.matcher.labels
        both = [label for label in there if label in here]
        return [here.index(label) for label in both], [there.index(label) for label in both]

    def match(self, pairs: Sequence[tuple[EncodedPicture, EncodedPicture]]) -> list[tuple[str, list[Detection]]]:
        """The class of each sketch, and the regions of its scene, as in `Matcher.match`.

        The score of a region is its score as an object times the cosine of both probability vectors. Raises
        VisketchError for a scene whose file is gone.
        """
        self.read([sketch for sketch, _ in pairs], [scene for _, scene in pairs])
        matched = []
        for sketch, scene in pairs:
            own, there = self.sketches[sketch], self.scenes[scene]
            alike = [float(torch.nn.functional.cosine_similarity(own, one.chances, dim=0)) for one in there]
            things = [
                Detection(self._name(one.chances), one.box, one.score * same)
                for one, same in zip(there, alike, strict=True)
            ]
            matched.append((self._name(own), things))
        return matched

    def name(self, sketch: EncodedPicture) -> str:
        """The class of a sketch."""
        self.read([sketch], [])
        return self._name(self.sketches[sketch])

    def chances(self, sketch: EncodedPicture) -> dict[str, float]:
        """ViSketch's probability of each class for a sketch, without the tower."""
        drawing = _query(sketch)
        if drawing is None:
            return dict.fromkeys(self.model.labels, 1 / len(self.model.labels))
        own = self.model.sketch_logits([drawing]).softmax(dim=1)[0]
        return dict(zip(self.model.labels, own.tolist(), strict=True))

    def read(self, sketches: Sequence[EncodedPicture], scenes: Sequence[EncodedPicture]) -> None:
        """Classify the pictures that are new, with all their drawings together."""
        new = {sketch: self.matcher.name(sketch.tokens) for sketch in sketches if sketch not in self.sketches}
        found = {}
        for scene in dict.fromkeys(scenes):
            if scene not in self.scenes:
                there = scene.picture.ink
                parts = drawn(there.pixels, self.matcher.regions(scene.tokens), len(self.matcher.labels))
                found[scene] = parts, wholes(there, [region for _, region in parts])
        every: list[tuple[Sketch | None, Region]] = []
        for parts, groups in found.values():
            every += [(_mask(pixels), region) for pixels, region in parts] + [whole for whole, _ in groups]
        drawings = [*map(_query, new), *(drawing for drawing, _ in every)]
        agreed = iter(self._agreed(drawings, [*new.values(), *(region.chances for _, region in every)]))
        for sketch in new:
            self.sketches[sketch] = next(agreed)
        for scene, (parts, groups) in found.items():
            regions = [replace(region, chances=next(agreed)) for _, region in parts]
            whole = [replace(region, chances=next(agreed)) for (_, region), _ in groups]
            self.scenes[scene] = joined(regions, [(one, own) for one, (_, own) in zip(whole, groups, strict=True)])

    def _agreed(
        self, drawings: Sequence[Sketch | None], told: Sequence[Float[Tensor, " k"]]
    ) -> list[Float[Tensor, " c"]]:
        """The class probabilities of drawings, by ViSketch and the tower together.

        `told` holds the tower's probabilities. ViSketch decides how probable the classes that the tower also knows are
        as a group. Among these classes, the product of both probabilities decides. A blank drawing has equal
        probabilities.
        """
        classes = len(self.model.labels)
        agreed = [torch.full((classes,), 1 / classes) for _ in drawings]
        inked = [place for place, drawing in enumerate(drawings) if drawing is not None]
        for first in range(0, len(inked), AT_ONCE):
            some = inked[first : first + AT_ONCE]
            drawn = [drawing for place in some if (drawing := drawings[place])]
            fields = self.model.fields(drawn, self.model.config.reading)
            chances = (self.model.logits(fields) / TEMPERATURE).softmax(dim=1).cpu()
            for place, one in zip(some, chances, strict=True):
                agreed[place] = one
        here, there = self.shared
        for one, other in zip(agreed, told, strict=True):
            both = one[here] * other.cpu()[there].clamp_min(1e-9)
            one[here] = both * (one[here].sum() / both.sum())
        return agreed

    def _name(self, chances: Float[Tensor, " c"]) -> str:
        return self.model.labels[int(chances.argmax())]


def _query(sketch: EncodedPicture) -> Sketch | None:
    """The drawing of a query, or the ink on its square if there is none."""
    return sketch.picture.sketch or _mask(ink.find(sketch.picture.square).pixels)


def _mask(pixels: Bool[np.ndarray, "_ _"]) -> Sketch | None:
    """Ink as a sketch. Returns None if there is no ink."""
    return Sketch(pixels=pixels, source="picture") if pixels.any() else None


def drawn(
    pixels: Bool[np.ndarray, "h h"], regions: Sequence[Region], classes: int
) -> list[tuple[Bool[np.ndarray, "_ _"], Region]]:
    """The ink of each region: the connected parts that lie mostly in it, with their bounding box.

    If most of the ink in a region belongs to larger parts, the ink within the region is taken instead, without that of
    other regions which are only partly in it. Regions without ink are left out. What is drawn outside all regions
    becomes a region too (`_overlooked`).
    """
    side = len(pixels)
    parts, count = ndimage.label(pixels, np.ones((3, 3)))
    area = np.bincount(parts.ravel(), minlength=count + 1)
    found: list[tuple[np.ndarray, Region]] = []
    touched, owned = np.zeros(count + 1, bool), list[tuple[image.Box, np.ndarray]]()
    for region in regions:
        here = _around(region.box, side)
        inside = np.bincount(parts[here].ravel(), minlength=count + 1)
        inside[0] = 0  # the paper
        touched |= inside > 0
        own = inside > area / 2
        if own.any() and inside[own].sum() >= inside.sum() / 2:
            mask, box = _cut(own[parts])
            found.append((mask, replace(region, box=box)))
            owned.append((box, own))
        elif inside.any():
            found.append((pixels[here], replace(region, cut=True)))
    for place, (mask, region) in enumerate(found):
        others = [own for box, own in owned if region.cut and _partly(box, region.box)]
        if others:
            here = parts[_around(region.box, side)]
            found[place] = mask & ~np.logical_or.reduce(others)[here], region
    found = [(mask, region) for mask, region in found if mask.any()]
    return found + _overlooked(pixels & ~touched[parts], classes)


Whole = tuple[tuple[Sketch, Region], list[int]]  # a drawing and its region, and the numbers of its parts


def wholes(found: ink.Ink, parts: Sequence[Region]) -> list[Whole]:
    """Each drawing of a scene that has several regions, or one that does not cover it, as a region of its own; and
    then each line, such as a circle around drawings, out of which several regions are cut.

    Drawings are separated by the gaps between them. The tower's opinion about a drawing is the mean of its opinions
    about the parts.
    """
    if not parts:
        return []
    side, edge = len(found.pixels), found.pen / 2
    drawings = separate(Sketch(pixels=found.pixels, thin=found.thin, source="picture"))
    points = [np.concatenate(drawing.lines()) for drawing in drawings]
    ends = [(*(some.min(axis=0) - edge), *(some.max(axis=0) + edge)) for some in points]
    boxes, regions = np.array(ends).clip(0, side) / side, np.array([part.box for part in parts])
    drawing_of, some = shares(regions, boxes).argmax(axis=1), list[Whole]()
    for number, drawing in enumerate(drawings):
        own = np.flatnonzero(drawing_of == number).tolist()
        if len(own) > 1 or (own and overlaps(regions[own], boxes[[number]])[0, 0] < COVERS):
            some.append(_whole(drawing, tuple(boxes[number].tolist()), parts, own))
    return some + _encloses(found.pixels, parts)


def _encloses(pixels: Bool[np.ndarray, "h h"], parts: Sequence[Region]) -> list[Whole]:
    """The connected lines out of which several regions are cut, except those that are regions already."""
    lines, count = ndimage.label(pixels, np.ones((3, 3)))
    area = np.bincount(lines.ravel(), minlength=count + 1)
    inside = [np.bincount(lines[_around(part.box, len(pixels))].ravel(), minlength=count + 1) for part in parts]
    taken = np.arange(count + 1) == 0  # the paper, and then the lines that are regions
    for part, ink_of in zip(parts, inside, strict=True):
        if not part.cut:
            taken |= ink_of > area / 2
    cut_of: dict[int, list[int]] = {}
    for place, (part, ink_of) in enumerate(zip(parts, inside, strict=True)):
        left = np.where(taken, 0, ink_of)
        if part.cut and left.any():
            cut_of.setdefault(int(left.argmax()), []).append(place)
    some = list[Whole]()
    for line, numbers in cut_of.items():
        if len(numbers) > 1:
            mask, box = _cut(lines == line)
            some.append(_whole(Sketch(pixels=mask, source="picture"), box, parts, numbers))
    return some


def _whole(drawing: Sketch, box: image.Box, parts: Sequence[Region], own: list[int]) -> Whole:
    """A drawing with its region, given the numbers of its parts."""
    told = torch.stack([parts[one].chances for one in own]).mean(dim=0)
    return (drawing, Region(box, max(parts[one].score for one in own), told)), own


def joined(parts: Sequence[Region], wholes: Sequence[tuple[Region, list[int]]]) -> list[Region]:
    """The regions of a scene: a whole drawing in place of its parts of the same class, if that class is about as
    probable for it as for them.

    The tower was trained on scenes of several objects, and sees several in a drawing that fills its page. A part of
    another class stays, unless it is cut out of the whole. A whole of a class that no part has is added if it is about
    as probable as the class of each part (of pieces cut out of a line, which look like something by chance, half as
    probable as their mean). Parts that an earlier whole has replaced are no parts of a later one.
    """
    kept, gone = list[Region](), set[int]()
    for whole, all_numbers in wholes:
        if not (numbers := [number for number in all_numbers if number not in gone]):
            continue
        name = int(whole.chances.argmax())
        same = [number for number in numbers if int(parts[number].chances.argmax()) == name]
        best = torch.stack([parts[number].chances.max() for number in same or numbers])
        cut = all(parts[number].cut for number in same or numbers)
        if whole.chances[name] >= (CUT * best.mean() if cut else ALIKE * best.max()):
            kept.append(whole)
            gone |= {*same, *(number for number in numbers if parts[number].cut)}
    return [part for number, part in enumerate(parts) if number not in gone] + kept


def _partly(box: image.Box, other: image.Box) -> bool:
    """Whether less than PARTLY of a box is in another one."""
    own = np.array([box])
    return float(overlaps(own, own.clip([*other[:2]] * 2, [*other[2:]] * 2))[0, 0]) < PARTLY


def _cut(own: Bool[np.ndarray, "h h"]) -> tuple[Bool[np.ndarray, "_ _"], image.Box]:
    """Ink without the paper around it, and its box."""
    side = len(own)
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    y1, y2, x1, x2 = (int(edge) for edge in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    return own[y1:y2, x1:x2], (x1 / side, y1 / side, x2 / side, y2 / side)


def _overlooked(pixels: Bool[np.ndarray, "h h"], classes: int) -> list[tuple[Bool[np.ndarray, "_ _"], Region]]:
    """Regions for what is drawn where the tower saw no object, if it is as large as a drawing.

    Ink that lies close together is one region. The tower does not know its class, so all of the tower's classes are
    equally probable.
    """
    side, found = len(pixels), []
    near = ndimage.distance_transform_edt(~pixels) <= NEAR * side / 2 if pixels.any() else pixels
    groups, count = ndimage.label(near)
    for number in range(1, count + 1):
        mask, box = _cut(pixels & (groups == number))
        if max(mask.shape) >= DRAWN * side:
            found.append((mask, Region(box, SOMETHING, torch.full((classes,), 1 / classes))))
    return found


def _around(box: image.Box, side: int) -> tuple[slice, slice]:
    """The rows and the columns of a box with its margin."""
    x1, y1, x2, y2 = (side * place for place in box)
    margin = MARGIN * max(x2 - x1, y2 - y1)
    low = np.floor(np.clip([y1 - margin, x1 - margin], 0, side - 1)).astype(int).tolist()
    high = np.ceil(np.clip([y2 + margin, x2 + margin], 1, side)).astype(int).tolist()
    return slice(low[0], high[0]), slice(low[1], high[1])
