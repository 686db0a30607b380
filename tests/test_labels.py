"""Names of classes as people write them."""

import pytest

from visketch import labels
from visketch.config import find, read_config
from visketch.errors import UsageError

CLASSES = read_config(find()).labels


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("cat", "cat"),
        ("cats", "cat"),
        ("CATS", "cat"),
        (" cat  ", "cat"),
        ("a cat", "cat"),
        ("buses", "bus"),
        ("butterflies", "butterfly"),
        ("knives", "knife"),
        ("mice", "mouse"),
        ("leaves", "leaf"),
        ("feet", "foot"),
        ("teeth", "tooth"),
        ("fishes", "fish"),
        ("toothbrushes", "toothbrush"),
        ("monkeys", "monkey"),
        ("potatoes", "potato"),
        ("alarm-clocks", "alarm clock"),
        ("Alarm_Clock", "alarm clock"),
        ("alarm  clock", "alarm clock"),
        ("eiffel tower", "The Eiffel Tower"),
        ("the great wall of china", "The Great Wall of China"),
        ("stairs", "stairs"),
        ("eyeglasses", "eyeglasses"),
        ("sofa", "couch"),
        ("Sofas", "couch"),
        ("TV", "television"),
        ("aeroplane", "airplane"),
        ("plane", "airplane"),
        ("bike", "bicycle"),
        ("puppies", "dog"),
        ("kitty", "cat"),
        ("mobile phone", "cell phone"),
        ("cell phone", "cell phone"),
        ("fire-engine", "firetruck"),
    ],
)
def test_what_is_meant(written: str, meant: str) -> None:
    assert labels.find(written, CLASSES) == meant


def test_every_class_is_its_own_name_and_no_plural_is_two() -> None:
    for label in CLASSES:
        assert labels.find(label, CLASSES) == label
        for form in (label.upper(), f" {label} ", label.replace(" ", "_")):
            assert labels.find(form, CLASSES) == label
    several = [form for label in CLASSES for form in labels.plurals(labels.plain(label))]
    assert len(several) == len(set(several))


@pytest.mark.parametrize("written", ["", "  ", "catt", "the", "s", "cats and dogs"])
def test_what_is_no_class_is_refused(written: str) -> None:
    with pytest.raises(UsageError, match="unknown class"):
        labels.find(written, CLASSES)


def test_a_synonym_means_one_class_and_is_no_name_of_another() -> None:
    names = {form for label in CLASSES for form in (labels.plain(label), *labels.plurals(labels.plain(label)))}
    forms = [
        form
        for label, words in labels.SYNONYMS.items()
        if label in CLASSES
        for word in words
        for form in (word, *labels.plurals(word))
    ]
    assert len(forms) == len({*forms})
    assert not {*forms} & names
    assert all(word == labels.plain(word) for words in labels.SYNONYMS.values() for word in words)
    assert {label for label in labels.SYNONYMS if label not in CLASSES} == {"refrigerator"}, "COCO's"
    assert labels.find("sofa", ["sofa", "couch"]) == "sofa"


def test_a_word_that_may_mean_two_classes_is_refused_with_both() -> None:
    with pytest.raises(UsageError, match="did you mean 'cell phone' or 'telephone'"):
        labels.find("phone", CLASSES)
    for word, either in labels.DOUBTFUL.items():
        assert {*either} <= {*CLASSES}
        assert word not in labels.forms(tuple(CLASSES))


def test_names_among_words() -> None:
    words = ["how", "many", "hot", "air", "balloons", "and", "cats"]
    assert list(labels.spans(words, frozenset(CLASSES))) == [(2, 3, "hot air balloon"), (6, 1, "cat")]
