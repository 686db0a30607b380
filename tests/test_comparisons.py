"""Questions that compare, answered from what was found. They are answered or refused, and never taken for other
questions.
"""

import pytest
from questions import reason

from visketch.config import find, read_config
from visketch.errors import VisketchError
from visketch.language import answers
from visketch.language.answers import Detection

KNOWN = frozenset(read_config(find()).labels)
CATS = [Detection("cat", (0.6, 0.1, 0.87, 0.32), 0.99), Detection("cat", (0.06, 0.09, 0.35, 0.32), 0.99)]
HOUSE, FISH = Detection("house", (0.1, 0.54, 0.46, 0.91), 0.05), Detection("fish", (0.64, 0.69, 0.885, 0.81), 0.01)


def ask(question: str) -> str | None:
    return reason(question, "cat", CATS, [HOUSE, FISH], KNOWN, KNOWN)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is the cat larger than the fish?", "yes"),
        ("Is the fish bigger than the cat?", "no"),
        ("is the fish smaller than the house", "yes"),
        ("Is it larger than the house?", "no"),
        ("Is the object of the sketch bigger than the fish?", "yes"),
        ("Are the cats larger than the fish?", "yes"),
        ("VQA: Is a cat larger than a fish?", "yes"),
        ("Which is larger, the cat or the fish?", "cat"),
        ("What is bigger: the house or the cat?", "house"),
        ("Who is smaller, the cat or the fish?", "fish"),
        ("Which objects are larger than the cat?", "house"),
        ("What is smaller than the cat?", "fish"),
        ("How many things are larger than the fish?", "3"),
        ("How many cats are bigger than the fish?", "2"),
        ("Is anything larger than the house?", "no"),
        ("Is there anything bigger than the cat?", "yes"),
        ("Which is the largest?", "house"),
        ("What is the largest object?", "house"),
        ("What's the biggest thing in the picture?", "house"),
        ("Name the largest object.", "house"),
        ("largest object?", "house"),
        ("The largest object is what?", "house"),
        ("Which object is the smallest?", "fish"),
        ("What is the lowest object?", "fish"),
        ("Where is the largest object?", "bottom left"),
        ("Is the cat the largest?", "no"),
        ("Is the largest object a cat?", "no"),
        ("Is the fish the smallest?", "yes"),
        ("How many objects are there?", "4"),
        ("How many things can you see?", "4"),
        ("Count the objects.", "4"),
        ("how many drawings are on the page?", "4"),
        ("How many different kinds of objects are there?", "3"),
        ("How many objects of the sketch are there?", "2"),
        ("How many objects like this are there?", "2"),
        ("How many fish and cats are there?", "3"),
        ("How many cats and fish?", "3"),
        ("How many fish & cats?", "3"),
        ("How many cats, fish and houses are there?", "4"),
        ("How many cats or dogs are there?", "2"),
        ("number of fish and cats", "3"),
        ("What is the number of cats and fish?", "3"),
        ("How many cats and fish are on the left?", "1"),
        ("How many cats on the left and fish on the right are there?", "2"),
        ("On the left, how many objects are there?", "2"),
        ("On the left, how many cats and fish are there?", "1"),
        ("Are there more fish than cats on the left?", "no"),
        ("Is there a cat, a fish and a house?", "yes"),
        ("Is there a dog, a fish or a house?", "yes"),
        ("Is there a cat and a house on the left?", "yes"),
        ("Is the left cat above the right cat?", "no"),
        ("Is the left cat below the right cat?", "no"),
        ("How many cats are there?", "2"),
        ("how many", "2"),
        ("Are there more cats than fish?", "yes"),
        ("Are there fewer cats than fish?", "no"),
        ("Do you see more fish than cats?", "no"),
        ("Are there more than two cats?", "no"),
        ("Are there at least two cats?", "yes"),
        ("Are there exactly 2?", "yes"),
        ("Are there two cats?", "yes"),
        ("Are there 3 cats?", "no"),
        ("Do you see two fish?", "no"),
        ("Are there two?", "yes"),
        ("Are there two cats in the picture?", "yes"),
        ("Is there only one cat?", "no"),
        ("Is there a cat and a fish?", "yes"),
        ("Are there cats and dogs?", "no"),
        ("Is there a dog or a cat?", "yes"),
        ("Is there more than one?", "yes"),
        ("What is it?", "cat"),
        ("Is the house to the left of the fish?", "yes"),
        ("Is the fish left of the house?", "no"),
        ("Is the fish on the right-hand side of the house?", "yes"),
        ("Is the left cat left of the fish?", "yes"),
        ("Is it above the house?", "yes"),
        ("Are the cats below the house?", "no"),
        ("Is the house under it?", "yes"),
        ("What is left of the fish?", "cat, house"),
        ("Which objects are above the cat?", "none"),
        ("How many cats are above the house?", "2"),
        ("Is there a fish to the left of the house?", "no"),
        ("Is there anything below the house?", "no"),
        ("Is there anything below the cats?", "yes"),
        ("Is there a cat on the left of the picture?", "yes"),
        ("Is the house left or right of the fish?", "left"),
    ],
)
def test_they_are_answered(question: str, answer: str) -> None:
    assert ask(question) == answer


@pytest.mark.parametrize(
    "question",
    [
        "Is the cat taller than the fish?",
        "Which is the tallest?",
        "Is the house as big as the cat?",
        "What is the second largest object?",
        "Is the cat not larger than the fish?",
        "Is the cat larger?",
        "Is the cat larger than the other cat?",
        "Which cat is the largest?",
        "Which animal is the largest?",
        "How many other objects are there?",
        "number of fish and number of cats",
        "How many cats and how many fish are there?",
        "How many cats are there? And how many fish?",
        "Are there the same number of cats and fish?",
        "Are the number of cats and fish different?",
        "What is the difference between the number of cats and fish?",
        "Where is the number of cats and fish?",
        "How many cats and houses on the right are there?",
        "How many right cats and houses are there?",
        "Are there fish and houses on the left?",
        "How many objects besides the cat?",
        "How many objects that are not cats are there?",
        "How many eyes does the cat have?",
        "How many unicorns and cats are there?",
        "How many more cats than fish are there?",
        "Is everything smaller than the house?",
        "What is the size of the largest object?",
        "Is the house to the left of the cat?",
        "Is the cat above or below the house?",
        "Is the cat to the left of the unicorn?",
        "Is there a cat above the unicorn?",
        "Is the cat not above the house?",
        "Which cat is left of the fish?",
        "Is the house below the cat and the fish?",
        "Does the cat look above the house?",
    ],
)
def test_what_is_not_answered_is_told(question: str) -> None:
    with pytest.raises(VisketchError, match="questions of this kind are not answered"):
        ask(question)


def test_what_is_not_there_cannot_be_compared() -> None:
    with pytest.raises(VisketchError, match="no dog was found"):
        ask("Is the cat larger than the dog?")
    with pytest.raises(VisketchError, match="no dog was found"):
        ask("Is the cat left of the dog?")
    with pytest.raises(VisketchError, match="some larger and some smaller"):
        reason(
            "Is the cat larger than the fish?",
            "cat",
            [CATS[0], Detection("cat", (0.0, 0.0, 0.1, 0.1), 0.9)],
            [FISH],
            KNOWN,
        )
    with pytest.raises(VisketchError, match="not one of the 1 classes"):
        reason("Is the cat larger than the fish?", "cat", CATS, [FISH], KNOWN, {"cat"})


class TestDuplicates:
    WHOLE, PART = Detection("cat", (0.1, 0.1, 0.9, 0.9), 0.9), Detection("cat", (0.2, 0.4, 0.6, 0.85), 0.8)

    def test_a_part_of_a_drawing_is_no_second_one(self) -> None:
        assert answers.suppressed([self.PART, self.WHOLE], drawn=True) == [self.WHOLE]
        assert len(answers.suppressed([self.PART, self.WHOLE])) == 2  # in a photo one may stand before another

    def test_a_box_around_several_is_none(self) -> None:
        several = [Detection("cat", (x, 0.1, x + 0.2, 0.4), 0.9) for x in (0.1, 0.4, 0.7)]
        assert answers.suppressed([Detection("cat", (0.05, 0.05, 0.95, 0.5), 0.5), *several], drawn=True) == several

    def test_a_small_thing_of_another_class_inside_stays(self) -> None:
        fish = Detection("fish", (0.4, 0.4, 0.5, 0.5), 0.5)
        assert len(answers.suppressed([self.WHOLE, fish], drawn=True)) == 2
        assert reason("how many objects?", "cat", [self.WHOLE], [fish], KNOWN) == "2"
