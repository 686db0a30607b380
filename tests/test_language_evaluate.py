"""The metrics of `visketch evaluate language`, compared with slow definitions and with known answers."""

from collections import Counter
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visketch.evaluate import language_metrics
from visketch.evaluate.language_metrics import OVERLAPS
from visketch.language.dataset.rows import InstructionRow

Boxes = list[list[float]]


def row(number: int = 0, task: str = "COUNT", answer: str = "1", **more: Any) -> InstructionRow:
    facts: dict[str, Any] = {
        "id": str(number),
        "sketch": f"sketch/{number}.png",
        "scene": f"scene/{number}.png",
        "task": task,
        "question": "",
        "text": f"{task}: what?",
        "answer": answer,
        "label": "cat",
        "style": "human",
        "kind": "drawings",
        "seen": True,
        "boxes": (),
        "objects": (),
        "sketch_of": str(number),
    }
    return InstructionRow(**facts | more)


def shared(one: list[float], other: list[float]) -> float:
    """The intersection over union of two boxes, on a grid of hundredths."""
    areas = [np.zeros((100, 100), bool) for _ in range(2)]
    for area, (x1, y1, x2, y2) in zip(areas, (one, other), strict=True):
        area[round(100 * y1) : round(100 * y2), round(100 * x1) : round(100 * x2)] = True
    return float((areas[0] & areas[1]).sum() / max((areas[0] | areas[1]).sum(), 1))


@st.composite
def boxes(draw: st.DrawFn, most: int = 3) -> Boxes:
    found = []
    for _ in range(draw(st.integers(0, most))):
        x, y = draw(st.integers(0, 60)), draw(st.integers(0, 60))
        wide, high = draw(st.integers(5, 40)), draw(st.integers(5, 40))
        found.append([x / 100, y / 100, (x + wide) / 100, (y + high) / 100])
    return found


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(boxes(), boxes()), min_size=1, max_size=4))
def test_boxes_are_found_as_trying_every_assignment_finds_them(pairs: list[tuple[Boxes, Boxes]]) -> None:
    found = language_metrics.detection(
        [row(boxes=tuple(map(tuple, true))) for true, _ in pairs], [answer for _, answer in pairs]
    )
    hits = np.zeros(len(OVERLAPS))
    for true, answer in ((true, answer) for true, answer in pairs if true):
        near = [[shared(one, other) for other in answer] + [0.0] * len(true) for one in true]  # 0: not found by any
        tries = np.array(list(permutations(range(len(answer) + len(true)), len(true))), int).reshape(-1, len(true))
        tried = np.array([[near[one][place] for one, place in enumerate(some)] for some in tries]).reshape(tries.shape)
        hits += (tried[..., None] >= OVERLAPS - 1e-9).sum(axis=1).max(axis=0)
    total = sum(len(true) for true, _ in pairs)
    assert found.boxes == total
    assert found.accuracy == pytest.approx(hits.mean() / total if total else 0)
    assert found.accuracy_50 == pytest.approx(hits[0] / total if total else 0)
    answered = sum(len(answer) for _, answer in pairs)
    assert found.precision_50 == pytest.approx(hits[0] / answered if answered else 0)


def test_every_size_counts_its_own_objects() -> None:
    small, large = (0.1, 0.1, 0.2, 0.2), (0.3, 0.3, 0.9, 0.9)
    found = language_metrics.detection([row(boxes=(small, large)), row(1)], [[large], []])
    assert (found.small, found.medium, found.large) == (0.0, None, 1.0)
    assert found.none_right == 1.0
    assert (
        language_metrics.detection([row(boxes=(small,), kind="coco")], [[small]]).medium == 1.0
    )  # in photos, this is a medium size


def test_a_box_is_found_once() -> None:
    box = (0.2, 0.2, 0.5, 0.5)
    found = language_metrics.detection([row(boxes=(box, (0.6, 0.6, 0.9, 0.9)))], [[box, box]])
    assert (found.accuracy_50, found.precision_50) == (0.5, 0.5)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.integers(0, 4)), min_size=1))
def test_exact_answers_as_counted_by_hand(asked: list[tuple[str, int, int]]) -> None:
    groups, truth, answers = (list(column) for column in zip(*asked, strict=True))
    found = language_metrics.exact(truth, answers, groups)
    common = chance = 0.0
    for group in set(groups):
        of_group = [true for kind, true, _ in asked if kind == group]
        common += Counter(of_group).most_common(1)[0][1]
        chance += sum(of_group.count(guess) for guess in of_group) / len(of_group)
    assert found.right == pytest.approx(sum(true == answer for _, true, answer in asked) / len(asked))
    assert found.majority == pytest.approx(common / len(asked))
    assert found.chance == pytest.approx(chance / len(asked))
    assert found.chance <= found.majority + 1e-9


def test_counting_counts_true_boxes_and_no_answer_is_wrong() -> None:
    rows = [row(boxes=((0.0, 0.0, 1.0, 1.0),) * count) for count in (0, 1, 1, 3)]
    found = language_metrics.counting(rows, [0, 1, None, 2])
    assert (found.rows, found.right, found.majority) == (4, 0.5, 0.5)


def test_words_may_differ_in_case_and_full_stop() -> None:
    rows = [row(task="VQA", question="where", answer="top left"), row(task="VQA", question="name", answer="cat")]
    assert language_metrics.questions(rows, ["Top  left.", "dog"]).right == 0.5


def test_retrieval_by_the_definitions() -> None:
    rng = np.random.default_rng(0)
    asked, scores = [], []
    for number in range(20):
        wanted = rng.random(30) < 0.3
        wanted[0] = True
        asked.append(language_metrics.Gallery(row(number), tuple(map(str, range(30))), wanted))
        scores.append(rng.permutation(30).astype(float))
    found = language_metrics.retrieval(asked, scores)
    averages, at = [], {rank: [] for rank in language_metrics.RANKS}
    for gallery, score in zip(asked, scores, strict=True):
        order = sorted(range(30), key=lambda place: -score[place])
        hits = [bool(gallery.wanted[place]) for place in order]
        at_hits = [sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits) if hit]
        averages.append(sum(at_hits) / len(at_hits))
        for rank in language_metrics.RANKS:
            at[rank].append(sum(hits[:rank]) / rank)
    assert found.mean_average_precision == pytest.approx(np.mean(averages))
    assert found.precision == pytest.approx({rank: np.mean(values) for rank, values in at.items()})
    assert found.chance == pytest.approx(np.mean([gallery.wanted.mean() for gallery in asked]))
    perfect = language_metrics.retrieval(asked, [gallery.wanted.astype(float) for gallery in asked])
    assert perfect.mean_average_precision == 1.0


def test_galleries_leave_out_scenes_made_of_the_sketch_itself() -> None:
    rows = []
    for number in range(40):
        label = ("cat", "dog")[number % 2]
        things, other = ((label, (0.0, 0.0, 1.0, 1.0)),), f"d{(number + 2) % 40}"
        rows.append(row(number, label=label, objects=things, sketch_of=f"d{number}", scene_of=(other,)))
    asked = language_metrics.galleries(rows, size=30, queries=10)
    assert len(asked) == 10
    assert {gallery.row.label for gallery in asked} == {"cat", "dog"}
    shows = {one.scene: one for one in rows}
    for gallery in asked:
        assert len(gallery.scenes) in (29, 30)
        for scene, wanted in zip(gallery.scenes, gallery.wanted, strict=True):
            assert gallery.row.sketch_of not in shows[scene].scene_of
            assert wanted == (shows[scene].label == gallery.row.label)


def test_styles_are_searched_for_in_the_same_scenes() -> None:
    styles, kinds = ("human", "lines-1"), ("photos", "photos", "coco")
    things = (("cat", (0.0, 0.0, 1.0, 1.0)),)
    rows = [row(number, style=styles[number % 2], kind=kinds[number % 3], objects=things) for number in range(24)]
    some = {
        part: language_metrics.galleries(
            [rows[place] for place in places], 10, 3, language_metrics.scenes_for(part, rows, 10)
        )
        for part, places in language_metrics.split_up(rows).items()
    }
    scenes = {part: {gallery.scenes for gallery in found} for part, found in some.items()}
    assert scenes["photos, seen classes, human"] == scenes["photos, seen classes, lines-1"]
    assert {len(found) for found in scenes["photos, seen classes"]} == {10}
    assert {len(found) for found in scenes["coco, seen classes"]} == {8}, "there are no more"


def test_parts_are_kinds_classes_and_styles() -> None:
    rows = [row(0), row(1, seen=False), row(2, style="lines-1"), row(3, kind="coco")]
    found = language_metrics.by_part(rows, [1, 2, 3, 4], lambda some, answers: (len(some), sum(answers)))
    assert found == {
        "coco, seen classes": (1, 4),
        "drawings, seen classes": (2, 4),
        "drawings, seen classes, human": (1, 1),
        "drawings, seen classes, lines-1": (1, 3),
        "drawings, unseen classes": (1, 2),
    }
