"""The words of *Quick, Draw!* that stand for one of the 80 classes of COCO, which the detector knows.

Most of these words have a class of the same name. Some are a narrower kind of a class: an owl is a bird, and the
detector finds birds. All other words have no class, and none is guessed for them.
"""

from dataclasses import dataclass

from visketch.data.coco import WORDS

# COCO's official category ids (cocodataset.org, "Data format"); the missing numbers were never used.
COCO = {
    number: name
    for number, name in enumerate(
        """person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant||stop sign
        |parking meter|bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe||backpack|umbrella|||handbag|tie
        |suitcase|frisbee|skis|snowboard|sports ball|kite|baseball bat|baseball glove|skateboard|surfboard
        |tennis racket|bottle||wine glass|cup|fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot
        |hot dog|pizza|donut|cake|chair|couch|potted plant|bed||dining table|||toilet||tv|laptop|mouse|remote|keyboard
        |cell phone|microwave|oven|toaster|sink|refrigerator||book|clock|vase|scissors|teddy bear|hair drier
        |toothbrush""".replace("\n", "")
        .replace("  ", "")
        .split("|"),
        1,
    )
    if name
}

RENAMED = {word: name for name, word in WORDS.items()}  # words with another spelling or name in COCO

# These words stand for a narrower kind of a COCO class.
NARROWER = {
    "alarm clock": "clock",
    "ambulance": "truck",  # COCO has no van: its annotators call large ones trucks
    "baseball": "sports ball",
    "basketball": "sports ball",
    "birthday cake": "cake",
    "bowtie": "tie",  # COCO's ties include bow ties
    "canoe": "boat",
    "coffee cup": "cup",
    "computer": "tv",  # as drawn, a monitor; COCO's "tv" includes monitors
    "cruise ship": "boat",
    "duck": "bird",
    "firetruck": "truck",
    "flamingo": "bird",
    "hamburger": "sandwich",  # COCO's sandwiches include burgers
    "mug": "cup",
    "owl": "bird",
    "panda": "bear",  # COCO's bears include pandas
    "parrot": "bird",
    "penguin": "bird",
    "pickup truck": "truck",
    "police car": "car",
    "sailboat": "boat",
    "school bus": "bus",
    "soccer ball": "sports ball",
    "speedboat": "boat",
    "stove": "oven",  # COCO's ovens include the hob above them
    "swan": "bird",
    "van": "car",
    "wine bottle": "bottle",
}

# These words mean more than COCO's class of the same name. The note is for the answer.
NOTES = {
    "mouse": "computer mice only: the detector does not know the animal",
    "bear": "teddy bears are another class",
    "keyboard": "of computers, not of pianos",
    "cell phone": "not telephones with a cord",
}

# Some words look as if they had a class but should not be added. A "wristwatch" is a clock in few of COCO's photos.
# COCO leaves out "bread", "cookie" and "steak". A "telephone" has a cord. A "kettle" is not a "teapot". A "flying
# saucer" is not a frisbee. The "bat" is the animal. A "face" or a "hand" is part of a person, and no word means a whole
# person.


@dataclass(frozen=True)
class Category:
    """A COCO class as the answer to a word. `note`: what the detector cannot tell, in a few words, or empty."""

    name: str
    number: int  # COCO's id
    narrower: bool
    note: str


def category(word: str) -> Category | None:
    """The COCO class that a word of *Quick, Draw!* names, or of which it names a kind. None if there is none."""
    name = NARROWER.get(word) or RENAMED.get(word, word)
    if name not in NUMBERS:
        return None
    narrower = word in NARROWER
    note = f"any {name} counts: the detector does not know the kinds" if narrower else NOTES.get(word, "")
    return Category(name, NUMBERS[name], narrower, note)


NUMBERS = {name: number for number, name in COCO.items()}
