"""The settings of training: what all parts have, and what each part has of its own."""

from typing import Literal

from pydantic import Field

from visketch.configs.section import Count, Length, Section, Share


class PartTraining(Section):
    """Training settings that all parts have."""

    steps: Count = 1000
    batch: Count = 64  # sketches a step, over all processes
    lr: Length = 1e-3
    warmup: int = 100
    weight_decay: float = 0.01
    ema: Share = 0.999
    clip: Length = 1.0  # the largest norm of the gradient
    muon: bool = True  # False: AdamW for all weights
    cooldown: float = Field(1.0, gt=0, le=1)  # the share of the steps, at the end, over which the learning rate falls


class RecognitionTraining(PartTraining):
    """Settings that the classifier and its baselines share."""

    grow: tuple[float, ...] = Field((), strict=False)  # shares of the steps spent on trees of depth 0, 1, ...
    smoothing: Share = 0.1
    restyle: Share = 0.0  # share of the drawings that are redrawn in another style
    fill: Share = 0.0  # share of the drawings whose enclosed areas are filled


class ClassifierTraining(RecognitionTraining):
    leaves: Count = 6  # leaves sampled from each sketch; classifying uses all of them
    auxiliary: float = 0.3  # weight of the class loss on each leaf's own CLS vector
    teacher: str = ""  # a checkpoint whose classifier teaches this one; "": none
    taught: float = Field(0.5, ge=0, le=1)  # share of the target that is the teacher's answer


class SequenceTraining(PartTraining):
    smoothing: Share = 0.1
    shuffled: Share = 0.4  # the share of the drawings whose strokes are in random order
    traced: Share = 0.5  # the share of the drawings whose strokes are traced from a picture of them
    fill: Share = 0.07  # the share of the drawings that are traced from the edges of their filled areas
    teacher: str = ""  # a checkpoint whose `sequence` teaches this one; "": none
    taught: float = Field(0.7, ge=0, le=1)  # share of the target that is the teacher's answer


class RefinerTraining(PartTraining):
    leaves: Count = 16
    joint: bool = False  # also train the shared encoder, with the classifier's loss; a step costs four times as much
    classify: float = 0.5  # if joint, the weight of the classifier's loss, which keeps the encoder good for both
    blur: float = 1.0  # the largest share of a 3 x 3 blur in the coarse field, as the diffusion might draw it
    noise: float = 0.15  # the largest sigma of the noise added to the coarse field
    strokes: float = Field(0.0, ge=0, le=1)  # share of the examples whose coarse canvas is drawn from shaken strokes
    shake: Length = 0.01  # the largest sigma by which their points are shifted, as a share of the side
    order: Literal["one-by-one", "waves", "both"] = "both"


class DiffusionTraining(PartTraining):
    given: Share = 0.25  # for strokes: the share of the examples in which some strokes are given, as in completion


class TrainConfig(Section):
    vqvae: PartTraining = PartTraining()
    diffusion: DiffusionTraining = DiffusionTraining()
    field: PartTraining = PartTraining()
    refiner: RefinerTraining = RefinerTraining()
    classifier: ClassifierTraining = ClassifierTraining()
    sequence: SequenceTraining = SequenceTraining()
    baseline: RecognitionTraining = RecognitionTraining()
    per_class: Count = 1000  # at most this many training drawings of a class, since the data set is skewed
    balance: float = Field(0.0, ge=0, le=1)  # how far class frequencies are equalised; 0: not at all; 1: completely
    seed: int = Field(0, ge=0)
    precision: Literal["no", "bf16"] = "bf16"  # "no" is single precision, as on any CPU that would emulate bfloat16
    save_minutes: float = Field(5.0, ge=0)
