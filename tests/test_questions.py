"""Questions about a coloured scene: every word of them is understood, or they are refused."""

import pytest
from PIL import Image, ImageDraw
from questions import reason

from visketch.config import find, read_config
from visketch.errors import VisketchError
from visketch.language import grammar, image, one_kind, wording
from visketch.language.answers import Detection
from visketch.language.boxes import Box
from visketch.language.closed_questions import kind

KNOWN = frozenset(read_config(find()).labels)
BLACK, RED = Detection("cat", (0.06, 0.09, 0.35, 0.32), 0.99), Detection("cat", (0.6, 0.1, 0.87, 0.32), 0.98)
HOUSE, FISH = Detection("house", (0.1, 0.54, 0.46, 0.91), 0.05), Detection("fish", (0.64, 0.69, 0.885, 0.81), 0.01)


@pytest.fixture(scope="module")
def scene() -> image.Picture:
    """A black cat, a red cat, a blue house and a green fish."""
    page = Image.new("RGB", (512, 512), "white")
    for thing, pen in zip((BLACK, RED, HOUSE, FISH), ("black", "#d62828", "#285ac8", "#188a28"), strict=True):
        ImageDraw.Draw(page).rectangle([512 * place for place in thing.box], outline=pen, width=6)
    return image.square(page, 128)


def ask(question: str, scene: image.Picture | None = None, single: bool = False) -> str | None:
    return reason(question, "cat", [BLACK, RED], [HOUSE, FISH], KNOWN, KNOWN, scene, single=single)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the colour of the largest cat?", "black"),
        ("What is the largest cat's colour?", "black"),
        ("What is the colour of the fish?", "green"),
        ("What's the color of the fish?", "green"),
        ("What is the fish’s colour?", "green"),
        ("What colour does the house have?", "blue"),
        ("What colour is the largest object?", "blue"),
        ("Tell me the colour of the house, please.", "blue"),
        ("What colour is the sun?", "none"),
        ("How many things are in this picture?", "4"),
        ("How many of the cats are red?", "1"),
        ("How many cats on the left are black?", "1"),
        ("How many cats can you see in the photo?", "2"),
        ("How often does the cat appear?", "2"),
        ("Is there no cat?", "no"),
        ("Are there no dogs?", "yes"),
        ("Are there no green cats?", "yes"),
        ("Is there nothing purple?", "yes"),
        ("Is there nothing red?", "no"),
        ("Is there only one cat?", "no"),
        ("Is there only one house?", "yes"),
        ("Is there something purple?", "no"),
        ("Is there something green?", "yes"),
        ("Is there anything blue in the picture?", "yes"),
        ("Is there a green thing?", "yes"),
        ("Is there a cat that is red?", "yes"),
        ("Is there anything red above the house?", "yes"),
        ("Is there anything green above the house?", "no"),
        ("Is everything black?", "no"),
        ("Is any cat red?", "yes"),
        ("Are any of the cats green?", "no"),
        ("Are all the cats red?", "no"),
        ("How many of the cats and houses are black?", "1"),
        ("How many red cats and a fish?", "2"),
        ("Is anything green?", "yes"),
        ("Is the largest object blue?", "yes"),
        ("Where are the cats?", "there are 2: top left, top right"),
        ("Where is it?", "there are 2: top left, top right"),
        ("Where's the red cat?", "top right"),
        ("Where is the blue object?", "bottom left"),
        ("What colour are the cats?", "there are 2: black, red"),
        ("What colour is the cat?", "there are 2: black, red"),
        ("What is the cat next to?", "there are 2: house, fish"),
        ("What is next to the fish?", "house"),
        ("What is green?", "fish"),
        ("What is on the left?", "cat, house"),
        ("Which object is red?", "cat"),
        ("Is it a cat?", "yes"),
        ("Is it a kitten?", "yes"),
        ("Is this a house?", "no"),
        ("Is the house left or right of the red cat?", "left"),
        ("Is there a kitty?", "yes"),
        ("How many sofas are there?", "0"),
        ("Is there a t-shirt?", "no"),
        ("Are there at least two red things?", "no"),
        ("How many red cats are bigger than the fish?", "1"),
        ("Is there a green cat bigger than the fish?", "no"),
    ],
)
def test_they_are_answered(question: str, answer: str, scene: image.Picture) -> None:
    assert ask(question, scene) == answer


@pytest.mark.parametrize(
    "question",
    [
        "How many red cats and fish are there?",
        "Is there a cat next to the house?",
        "Is the cat next to the house?",
        "Is there only a cat?",
        "Are there only cats?",
        "Is there not a cat?",
        "Are there not any cats?",
        "Is there nothing but cats?",
        "Is there a cat with a hat?",
        "Is there a cat wearing glasses?",
        "Is there a cat without whiskers?",
        "Is there a car inside the house?",
        "Is there a car behind the tree?",
        "Is there a tabby cat?",
        "Is there a house cat?",
        "Is there anything else?",
        "Is there another object?",
        "Is the cat's tail visible?",
        "Does the picture show that a cat is sleeping?",
        "Where is the cat's tail?",
        "Where is the cat going?",
        "Where is the cat in the house?",
        "Where are the cat and the fish?",
        "Where is the other cat?",
        "What colour is the cat's eye?",
        "What colour is the cat and the house?",
        "What colour is the fish next to the house?",
        "What is next to the cat's tail?",
        "What is the red cat next to?",
        "How many cats are sitting?",
        "How many cats are in the house?",
        "How many cats face right?",
        "How many cats are on the left and right?",
        "How many red and black cats are there?",
        "Is the red cat the largest?",
        "Are the cats the largest?",
        "Is it left or right of the house?",
        "Is it a cat in the picture?",
        "Are there more than two legs on the cat?",
        "Does it have more than two legs?",
        "Are there at least two kinds of objects?",
        "Is the cat more red than the fish?",
        "Is the cat larger or smaller than the fish?",
        "Is the cat's head larger than the fish?",
        "Is the red object larger than the fish?",
        "Which is larger, the red cat or the fish?",
        "Is there a cat? Where is it?",
        "Is there a cat to the left?",
        "Is the cat above and to the left of the fish?",
        "What is above and left of the fish?",
    ],
)
def test_a_question_of_which_a_word_is_not_understood_is_refused(question: str, scene: image.Picture) -> None:
    with pytest.raises(VisketchError, match=r"questions of this kind are not answered.*; ask what it is"):
        ask(question, scene)


@pytest.mark.parametrize(
    "question",
    [
        "What is the cat doing?",
        "Isn't there a dog?",
        "What is in the picture?",
        "Does it have a house?",
        "Does the object have a house?",
        "Is the house an orange?",
    ],
)
def test_open_questions_are_left_to_the_language_model(question: str, scene: image.Picture) -> None:
    assert ask(question, scene) is None
    assert kind(question) is None


def test_the_evaluation_asks_for_single_objects(scene: image.Picture) -> None:
    assert ask("Where is it?", scene, single=True) == "top left"
    assert ask("What is it next to?", scene, single=True) == "house"
    assert ask("Is it left or right of the fish?", scene, single=True) == "left"


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((0.5, 0.0, 1.0, 1.0), "right"),
        ((0.0, 0.05, 0.4, 0.8), "left"),
        ((0.0, 0.0, 0.9, 0.4), "top"),
        ((0.1, 0.6, 0.95, 1.0), "bottom"),
        ((0.0, 0.0, 1.0, 1.0), "centre"),
        ((0.6, 0.2, 0.9, 0.6), "top right"),
        ((0.6, 0.3, 0.9, 0.6), "right"),
        ((0.1, 0.4, 0.3, 0.6), "left"),
        ((0.4, 0.1, 0.6, 0.3), "top"),
        ((0.6, 0.2, 1.0, 1.0), "right"),
        ((0.6, 0.4, 1.0, 1.0), "bottom right"),
    ],
)
def test_what_reaches_across_the_picture_is_at_one_side(box: Box, place: str) -> None:
    assert one_kind.part_of_picture(box) == place
    assert reason("where is it?", "cat", [Detection("cat", box, 0.9)], ()) == place


def test_a_side_is_not_all_of_a_half() -> None:
    cat = Detection("cat", (0.35, 0.4, 0.55, 0.6), 0.9)
    for question, answer in {
        "where is it?": "centre",
        "is there a cat on the left?": "no",
        "is there a cat in the left half?": "yes",
        "how many cats are in the left half of the picture?": "1",
        "is there a cat in the right half?": "no",
    }.items():
        assert reason(question, "cat", [cat], ()) == answer, question


def test_a_number_that_is_no_decimal_is_not_understood() -> None:
    with pytest.raises(VisketchError, match="not answered"):
        reason("are there \u00b2 cats?", "cat", [], ())


def test_where_places_are_given_one_of_them_is_the_answer() -> None:
    cat = Detection("cat", (0.5, 0.0, 1.0, 1.0), 0.9)
    asked = "Where is the object of the sketch: top left, top right, bottom left, bottom right or centre?"
    assert reason(asked, "cat", [cat], ()) == "bottom right"


def test_a_question_becomes_a_row_of_signs() -> None:
    row, names = wording.signs(wording.plain("What's the colour of the big red hot air balloon?"), KNOWN)
    assert (row, names) == ("what is the colour of the s:big c:red @0", ["hot air balloon"])
    parsed = grammar.parse(row)
    assert parsed is not None
    assert parsed[0] == "colour"
    row, _ = wording.signs(wording.plain("Is there a top-left unicorn, like the objects of the sketch?"), KNOWN)
    assert row == "is there a p:top p:left ?unicorn , like ~"
    assert grammar.parse(row) is None
