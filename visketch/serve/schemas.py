"""The requests and responses of the HTTP API: these models validate them and define the OpenAPI document.

Names are the same as in the --json output of the command line. `coarse_only` is its `--no-refine`; over HTTP, strokes
are never refined.
"""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model, field_validator

from visketch.geometry.sketch import POINTS
from visketch.sampling import TRIES, SamplingOptions
from visketch.tasks.like import STRENGTH

STROKES = 2_000  # the most strokes of a drawing
DEFAULTS = SamplingOptions()
SKETCHES = 64  # the most sketches that are drawn together, including candidates that are not kept
SEEDS = 2**32

LARGEST = 1e6  # the largest coordinate
AXIS = {"type": "array", "items": {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}, "maxItems": POINTS}
POINT = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x", "y"]}
NAMED = {"type": "object", "properties": {"x": AXIS, "y": AXIS}, "required": ["x", "y"]}
STROKE = {"anyOf": [{"type": "array", "items": AXIS}, {"type": "array", "items": POINT}, NAMED], "minItems": 1}
Strokes = Annotated[
    list[Any],  # parsed by `visketch.data.points`, which reports what is wrong with a stroke
    WithJsonSchema({"type": "array", "items": STROKE, "minItems": 1, "maxItems": STROKES}),
    Field(
        min_length=1,
        max_length=STROKES,
        description="In the form of *Quick, Draw!*: for each stroke the x and the y of its points, [[x...], [y...]]. "
        "x goes to the right, y down, in any unit. A third list, times, is ignored. Pairs, [[x, y], ...], and points "
        'with names, [{"x": 1, "y": 2}, ...] or {"x": [...], "y": [...]}, are accepted too. If every stroke has two or '
        "three points, rows and pairs look alike, and are refused unless there is a `key_id`, as in QuickDraw's files.",
        examples=[[[[0, 50, 100, 0], [60, 0, 60, 60]], [[20, 80], [60, 60]]]],
    ),
]
Probability = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=SEEDS, description="The same seed gives the same answer.")]
Label = Annotated[str, Field(min_length=1, max_length=64, description="A class, as GET /v1/about lists them.")]


class ApiRequest(BaseModel):
    """The options of a request, apart from the drawing."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class ClassifyRequest(ApiRequest):
    top: Annotated[int, Field(ge=1, le=345, description="How many classes to name.")] = 5


class VectorizeRequest(ApiRequest):
    animate: Annotated[bool, Field(description="Let the SVG draw itself, and add a GIF that does.")] = False


class ExplainRequest(ApiRequest):
    pass


class SearchRequest(ApiRequest):
    n: Annotated[int, Field(ge=1, le=48, description="How many drawings to find.")] = 12


class RefineRequest(ApiRequest):
    label: Annotated[Label | None, Field(alias="class", description="By default the classifier's guess.")] = None
    strength: Annotated[
        float, Field(ge=0, le=1, description="How much may change, from 0 (only the lines) to 1 (all).")
    ] = 0.0
    temperature: Annotated[float, Field(ge=0, le=10)] = DEFAULTS.temperature
    seed: Seed = 0


class CompleteRequest(ApiRequest):
    label: Annotated[Label | None, Field(alias="class", description="By default the four most probable classes.")] = (
        None
    )
    n: Annotated[int, Field(ge=1, le=16, description="How many completions.")] = 8
    tries: Annotated[int, Field(ge=1, le=4, description="Places tried for each.")] = TRIES
    temperature: Annotated[float, Field(ge=0, le=10)] = DEFAULTS.temperature
    seed: Seed = 0


class GenerateRequest(ApiRequest):
    label: Annotated[Label, Field(alias="class")]
    n: Annotated[int, Field(ge=1, le=16, description="How many sketches.")] = 4
    tries: Annotated[
        int, Field(ge=1, le=4, description="Candidates for each sketch, of which the classifier keeps one.")
    ] = 1
    guidance: Annotated[float | None, Field(ge=0, le=20, description="How much the class counts.")] = None
    temperature: Annotated[float, Field(ge=0, le=10)] = DEFAULTS.temperature
    coarse_only: Annotated[bool, Field(description="Leave out the refining; strokes are never refined.")] = False
    detail: Annotated[
        Literal["few", "usual", "many"] | Annotated[int, Field(ge=1, le=1000)],
        Field(description="Few or many strokes for the class, or their number; only if the weights draw strokes."),
    ] = "usual"
    seed: Seed = 0


class VaryRequest(ApiRequest):
    label: Annotated[Label | None, Field(alias="class", description="By default the classifier's guess.")] = None
    strength: float = Field(STRENGTH, ge=0, le=1, description="How much may change; 0: nothing; 1: all.")
    n: Annotated[int, Field(ge=1, le=16, description="How many variations.")] = 8
    tries: Annotated[int, Field(ge=1, le=4, description="Candidates for each, of which the classifier keeps one.")] = 1
    seed: Seed = 0


class MorphRequest(ApiRequest):
    to: Annotated[Strokes, Field(description="The last drawing; `drawing` is the first.")]
    label: Annotated[Label | None, Field(alias="class", description="The class of the first; by default guessed.")] = (
        None
    )
    to_label: Annotated[
        Label | None, Field(alias="to_class", description="The class of the last; by default guessed.")
    ] = None
    steps: Annotated[int, Field(ge=2, le=32, description="How many drawings, including both ends.")] = 12
    strength: Annotated[float, Field(ge=0, lt=1, description="How much is drawn anew in the middle.")] = 0.75
    seed: Seed = 0


class Line(ApiRequest):
    """The other fields of a line in QuickDraw's files, and in those of `visketch generate`. They are ignored, but a
    line can be sent as it is.
    """

    word: str | None = None
    countrycode: str | None = None
    timestamp: str | None = None
    recognized: bool | None = None
    key_id: str | int | None = None
    seed: int | None = None  # the seed of a request that draws takes its place
    score: float | None = None
    made: dict[str, Any] | None = None


@cache
def with_drawing(form: type[ApiRequest]) -> type[ApiRequest]:
    """The same request with a drawing, for JSON. In a form, the file is the drawing."""
    return create_model(f"{form.__name__}Drawing", __base__=(form, Line), drawing=(Strokes, ...))


class PredictionItem(BaseModel):
    label: str
    probability: Probability


class ApiResponse(BaseModel):
    checkpoint: str
    seconds: Annotated[
        float, Field(ge=0, description="Computing time, including that of other requests in the batch.")
    ] = 0


class ClassifyResponse(ApiResponse):
    predictions: Annotated[list[PredictionItem], Field(description="The most probable first.")]
    sure: Annotated[
        bool | None, Field(description="Whether nine in ten such answers are right; null if this was never measured.")
    ] = None
    separate: Annotated[
        int, Field(ge=1, description="The number of separate drawings on the page; they are classified as one.")
    ] = 1


class SketchItem(BaseModel):
    """A drawn sketch: strokes in a square of side `size`, drawn with a pen of width `pen`."""

    model_config = ConfigDict(populate_by_name=True)

    label: Annotated[str, Field(alias="class")]
    probability: Annotated[Probability, Field(description="Of the class, by the classifier.")]
    seed: int
    picture: Annotated[
        int, Field(description="The number of its picture in the events, which show all candidates.")
    ] = 0
    size: float
    pen: float
    drawing: list[list[list[float]]]


class SketchesResponse(ApiResponse):
    sketches: list[SketchItem]


class CompletionItem(SketchItem):
    given: Annotated[int, Field(description="The number of strokes that were sent; they come first.")]
    added: Annotated[Probability, Field(description="The share of the ink that is new.")]


class CompleteResponse(ApiResponse):
    sketches: Annotated[list[CompletionItem], Field(description="The best first; those without new ink last.")]


class VectorizeResponse(ApiResponse):
    drawing: list[list[list[float]]]
    width: float
    height: float
    pen: float
    svg: Annotated[str, Field(description="The same as an SVG file: centre lines, as curves.")]
    ndjson: Annotated[str, Field(description="The same as a line of Quick, Draw!'s files.")]
    gif: Annotated[str | None, Field(description="With `animate`: a GIF of it being drawn, in base64.")] = None


class MorphResponse(ApiResponse):
    classes: tuple[str, str]
    size: float
    pen: float
    drawings: Annotated[
        list[list[list[list[float]]]],
        Field(description="From the first to the last; stroke i has the same number of points in each."),
    ]


def _valid(text: Any) -> Any:
    r"""A text with `\udce9` and the like spelled out, since JSON in UTF-8 cannot hold a name that is not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text


Name = Annotated[str, BeforeValidator(_valid)]  # a text from the gallery, of a file or in one


class HitItem(BaseModel):
    rank: int
    name: Annotated[Name, Field(description="The name of the file, with #3 if it has several drawings.")]
    label: Name | None
    similarity: float
    size: float
    pen: float
    drawing: Annotated[list[list[list[float]]], Field(description="Empty if the file is gone.")]


class SearchResponse(ApiResponse):
    drawings: Annotated[int, Field(description="How many drawings the index has.")]
    found: Annotated[list[HitItem], Field(description="The most similar first.")]


class VoteItem(BaseModel):
    """The vote of one leaf of the quadtree, as in `visketch classify --explain --json`."""

    box: Annotated[
        list[float], Field(description="Left, top, right, bottom in the square to which the drawing is fitted.")
    ]
    input: Annotated[list[float], Field(description="The same in the units of the drawing.")]
    weight: Annotated[float, Field(description="The share of all votes; below 0: against the class.")]
    attention: float
    label: str
    probability: float

    @field_validator("box", "input", mode="before")
    @classmethod
    def as_list(cls, value: Any) -> list[float]:
        return list(value)


class ExplainResponse(ApiResponse):
    label: str
    probability: Probability
    words: str
    without: Annotated[Probability, Field(description="The probability if the deciding leaves are erased.")]
    leaves: Annotated[list[VoteItem], Field(description="The strongest first.")]


class About(BaseModel):
    """What this server offers."""

    version: str
    checkpoint: str
    canvas: int
    labels: list[str]
    verbs: Annotated[list[str], Field(description="The verbs of /v1/ that work with these weights and this index.")]
    index: Annotated[Name | None, Field(description="The name of the searched gallery.")]
    limits: dict[str, int]


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    title: str
    status: int
    detail: str
    request_id: str
