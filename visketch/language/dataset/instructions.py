"""Instructions: questions about a sketch and a scene with their answers, as rows of a chat-format data set.

There are five tasks, after O3SLM (arXiv 2511.14368). DESC describes the whole scene with its boxes. COUNT, BBOX, VQA
and SBIR ask for one thing. The first wording of each task is the paper's, if it prints one. The other wordings prevent
a model from learning a sentence by heart. Answers have one form for each task, which `visketch.language` parses.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import starmap
from typing import Any

import numpy as np

from visketch.language.boxes import Box, area, middle
from visketch.language.dataset.scenes import Query, Scene, Thing, counted

Row = dict[str, Any]

WORDINGS = {
    "DESC": (
        "Describe the sketch and the picture in detail, with a bounding box for every object.",
        "What does the sketch show, and what is where in the picture?",
        "List what is in the picture, and say how often the object of the sketch appears.",
    ),
    "COUNT": (
        "Count the number of objects in the image that resemble the sketch.",
        "How many objects like the sketch are in the image?",
        "How often does the object of the sketch appear in the image?",
    ),
    "BBOX": (
        "Draw a bounding box around object represented by the sketch in the image.",
        "Where in the image are the objects of the sketch? Answer with bounding boxes.",
        "Draw the bounding box around the object referred by the sketch.",
    ),
    "SBIR": (
        "Is the object shown in the sketch visible some where in the image, answer with yes or no.",
        "Does the image show the object of the sketch? Answer with yes or no.",
    ),
}
QUESTIONS = {
    "name": ("What is the object shown in the sketch?", "What does the sketch depict?"),
    "where": (
        "In which part of the image is the object of the sketch?",
        "Where is the object of the sketch: top left, top right, bottom left, bottom right or centre?",
    ),
    "relation": (
        "Is the object of the sketch left or right of the {other}?",
        "On which side of the {other} is the object of the sketch, left or right?",
    ),
    "another": (
        "Is there more than one object like the sketch in the image?",
        "Is there another one of these in the image?",
    ),
    "next": ("What is the object of the sketch next to?", "Which object is nearest to the object of the sketch?"),
    "largest": (
        "Is the object of the sketch the largest one in the image?",
        "Is nothing in the image larger than the object of the sketch?",
    ),
}
APART = 0.1  # objects closer than this along x, as a share of the side, are neither left nor right of each other


def rows(scene: Scene, there: Query, absent: Query, rng: np.random.Generator, seen: Collection[str]) -> Iterator[Row]:
    """The questions about a scene, asked with a sketch of something in it (`there`) and with a sketch of something that
    is not (`absent`).

    DESC, COUNT and BBOX are asked once, sometimes with the absent sketch. VQA is asked twice, and SBIR with both
    sketches. `seen` are the classes of training. The `query` of a row is for the writer of the data set.
    """

    def row(task: str, question: str, query: Query, text: str, answer: str) -> Row:
        facts: Row = {"task": task, "question": question, "label": query.label, "style": query.style}
        facts |= {"seen": query.label in seen, "sketch_of": query.source, "scene_of": sorted(scene.used)}
        return {"query": query} | chat(f"{task}: {text}", answer) | facts | {"boxes": boxes(query.label, scene.things)}

    for task, share in (("DESC", 0.15), ("COUNT", 0.2), ("BBOX", 0.1)):
        query = absent if rng.random() < share else there
        yield row(task, "", query, _pick(WORDINGS[task], rng), ANSWERS[task](query.label, scene.things))
    for question in _questions(scene.things, there.label, rng):
        yield row("VQA", question, there, *ask(question, scene.things, there.label, rng))
    for query, answer in ((there, "yes"), (absent, "no")):
        yield row("SBIR", "", query, _pick(WORDINGS["SBIR"], rng), answer)


def asked(task: str, wording: int = 0) -> str:
    """A task in its first wording, or in another wording."""
    return f"{task}: {WORDINGS[task][wording]}"


def _pick(wordings: Sequence[str], rng: np.random.Generator) -> str:
    return wordings[int(rng.integers(len(wordings)))]


def describe(label: str, things: Sequence[Thing]) -> str:
    """The answer to DESC: the class of the sketch, every object of the scene with its box from left to right, and the
    count.
    """
    listed = ", ".join(f"{named(thing.label)} {write_box(thing.box)}" for thing in in_order(things)) or "nothing"
    times = counted(things).get(label, 0)
    return f"The sketch shows {named(label)}. The picture shows {listed}. It appears {times} times."


def count(label: str, things: Sequence[Thing]) -> str:
    """The answer to COUNT: the number of objects of a class."""
    return str(counted(things).get(label, 0))


def locate(label: str, things: Sequence[Thing]) -> str:
    """The answer to BBOX: the boxes from left to right, or `none`."""
    return "; ".join(write_box(thing.box) for thing in in_order(things) if thing.label == label) or "none"


ANSWERS = {"DESC": describe, "COUNT": count, "BBOX": locate}


def named(label: str) -> str:
    return f"{'an' if label[0] in 'aeiou' else 'a'} {label}"


def write_box(box: Box) -> str:
    return f"[{', '.join(f'{place:.2f}' for place in box)}]"


def in_order(things: Sequence[Thing]) -> list[Thing]:
    """The objects from left to right."""
    return sorted(things, key=lambda thing: thing.box)


def _questions(things: Sequence[Thing], label: str, rng: np.random.Generator) -> list[str]:
    """Two questions that can be asked about the objects of a class. For a single object, the place comes first."""
    weights = {"name": 2.0, "largest": 1.0, "another": 0.5}
    if counted(things)[label] == 1:
        weights |= {"another": 1.0, "where": 3.0}
        if _beside(things, label):
            weights["relation"] = 3.0
        if len(things) > 1:
            weights["next"] = 2.0
    shares = np.array([*weights.values()]) / sum(weights.values())
    return [str(question) for question in rng.choice([*weights], 2, replace=False, p=shares)]


def ask(question: str, things: Sequence[Thing], label: str, rng: np.random.Generator) -> tuple[str, str]:
    """A closed question about the objects of a class (for VQA), and its answer."""
    text = _pick(QUESTIONS[question], rng)
    own = [thing for thing in things if thing.label == label]
    others = [thing for thing in things if thing.label != label]
    if question == "name":
        return text, label
    if question == "where":
        return text, whereabouts(own[0].box)
    if question == "relation":
        other = _pick_thing(_beside(things, label), rng)
        return text.format(other=other.label), "left" if middle(own[0].box)[0] < middle(other.box)[0] else "right"
    if question == "another":
        return text, "yes" if len(own) > 1 else "no"
    if question == "next":
        nearest = min(others, key=lambda thing: float(np.hypot(*(middle(thing.box) - middle(own[0].box)))))
        return text, nearest.label
    largest = max(things, key=lambda thing: area(thing.box))
    return text, "yes" if largest.label == label else "no"


def whereabouts(box: Box) -> str:
    """The name of the part of the picture with the centre of a box: the central ninth, or one of the quarters."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if max(abs(x - 0.5), abs(y - 0.5)) < 1 / 6:
        return "centre"
    return f"{'top' if y < 0.5 else 'bottom'} {'left' if x < 0.5 else 'right'}"


def _beside(things: Sequence[Thing], label: str) -> list[Thing]:
    """Objects of other classes that occur once and lie clearly left or right of the only object of the class."""
    (own,) = (thing for thing in things if thing.label == label)
    once = [label for label, times in counted(things).items() if times == 1]
    others = [thing for thing in things if thing is not own and thing.label in once]
    return [thing for thing in others if abs(middle(thing.box)[0] - middle(own.box)[0]) > APART]


def _pick_thing(things: Sequence[Thing], rng: np.random.Generator) -> Thing:
    return things[int(rng.integers(len(things)))]


def chat(text: str, answer: str) -> Row:
    """The prompt and the completion in the form of TRL: first the sketch, then the scene, then the text."""
    content = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": text}]
    return {
        "prompt": [{"role": "user", "content": content}],
        "completion": [{"role": "assistant", "content": [{"type": "text", "text": answer}]}],
    }


def boxes(label: str, things: Sequence[Thing]) -> list[list[float]]:
    """The boxes of a class from left to right, to four decimals."""
    return [_rounded(thing.box) for thing in in_order(things) if thing.label == label]


def objects(things: Sequence[Thing]) -> list[Row]:
    return [{"label": thing.label, "box": _rounded(thing.box)} for thing in things]


def _rounded(box: Box) -> list[float]:
    return [round(place, 4) for place in box]


def llava(row: Row) -> Row:
    """A row in the form of LLaVA's own trainer: images by name, with `<image>` at their places."""
    text = row["prompt"][0]["content"][-1]["text"]
    answer = row["completion"][0]["content"][0]["text"]
    turns = starmap(_turn, (("human", f"<image>\n<image>\n{text}"), ("gpt", answer)))
    return {"id": row["id"], "image": row["images"], "conversations": list(turns)}


def _turn(speaker: str, text: str) -> Row:
    return {"from": speaker, "value": text}
