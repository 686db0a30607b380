"""What a program may pass to the API; and docs/api.md, whose code is run here."""

import io
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import drawings
import numpy as np
import process_jobs
import pytest
import tiny_model
import torch
from PIL import Image

import visketch
from visketch import SketchLanguage, ViSketch
from visketch.api import DrawnSketch
from visketch.config import SketchConfig
from visketch.data.drawing import several, sketch
from visketch.data.fields import PASS
from visketch.errors import UsageError, VisketchError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.sampling import SamplingOptions, check_number, check_seed

PAGE = Path(__file__).parents[1] / "docs/api.md"


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    field = torch.from_numpy(sdf.render(drawings.draw("cat"), SketchConfig(), 256))
    picture = Image.fromarray((255 * (1 - sdf.ink(field, SketchConfig().clamp))).byte().numpy())
    picture.save(tmp_path / "sketch.png")
    page = Image.new("L", (384, 384), "white")
    for corner in ((20, 30), (220, 210)):
        page.paste(picture.resize((140, 140), Image.Resampling.LANCZOS), corner)
    page.save(tmp_path / "scene.png")
    return tmp_path / "sketch.png"


def test_the_page_of_the_docs_runs(
    cat: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(cat.parent)
    said: list[str] = []
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
        exec(compile(block, str(PAGE), "exec"), names)
        said.append(capsys.readouterr().out)
    assert "cat" in said[0]
    assert len(eval(said[1])) == 4
    assert Image.open("cat.png").size == (512, 512)
    assert sketch("cat.svg").strokes
    assert said[2].startswith("cat ")
    assert said[3].count("'") == 2 * 5, "what each of five steps is taken for"
    assert "%" in said[4]
    assert Image.open("why.png").size > (600, 600)
    count, boxes, answer = re.fullmatch(r"(\d+) (\[.*\]) (.+)\n", said[6]).groups()  # type: ignore[union-attr]
    assert boxes.count("Detection(label=") == int(count) > 0
    assert answer
    assert said[-1].startswith("nowhere.png: ")


def test_a_drawing_in_any_form_is_the_same_drawing(cat: Path) -> None:
    model = ViSketch.load()
    pixels = np.asarray(Image.open(cat).convert("L"))
    color = np.repeat(pixels[..., None], 3, axis=2)
    fields = model.render([sketch(each) for each in (cat, str(cat), pixels, color, 255 - pixels)])
    assert all(torch.equal(field, fields[0]) for field in fields)
    assert model.classify(cat)[0].label == "cat"
    lines = drawings.draw("cat").lines()
    quickdraw = [[line[:, 0].tolist(), line[:, 1].tolist()] for line in lines]
    for strokes in (list(lines), quickdraw, Sketch(strokes=lines)):
        assert model.classify(strokes)[0].label == model.classify(Sketch(strokes=lines))[0].label
    assert model.classify_many([]) == []


def test_a_mask_is_taken_as_it_is() -> None:
    mask = np.eye(20, dtype=bool)
    assert np.array_equal(sketch(mask).pixels, mask)


def test_a_mask_that_is_read_only_is_read() -> None:
    mask = np.zeros((60, 60), bool)
    mask[:, :3] = mask[:, -3:] = mask[:3] = mask[-3:] = True  # ink along all edges, so that the whole array is thinned
    writeable = sketch(mask.copy()).lines()
    mask.flags.writeable = False
    assert all(np.array_equal(one, other) for one, other in zip(sketch(mask).lines(), writeable, strict=True))


def test_pairs_of_points_in_arrays_are_points_and_not_coordinates() -> None:
    (line,) = sketch([np.array([[0, 60], [50, 0]])]).lines()
    assert line.tolist() == [[0, 60], [50, 0]]


WRONG = {
    "strokes": ([], [3], [[1, 2, 3]], ["cat.png"], None),
    "one axis": (np.zeros(5, np.uint8),),
    "four axes": (torch.zeros(2, 3, 8, 8),),
    "empty": (np.zeros((0, 0), np.uint8), Image.new("L", (0, 4))),
    "channels": (np.zeros((30, 30, 7), np.uint8),),
    "not a number": (np.full((8, 8), np.nan),),
    "range": (np.full((8, 8), 300.0), np.full((8, 8), -1)),
    "bits": (np.eye(8, dtype=int),),
    "text": (io.StringIO("<svg/>"),),
    "bytes": (b"",),
    "no values": (torch.zeros(9, 9, device="meta"), torch.zeros(9, 9).to_sparse(), [torch.zeros(3, 2, device="meta")]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_drawing_is_refused(kind: str) -> None:
    for wrong in WRONG[kind]:
        with pytest.raises(UsageError):
            sketch(wrong)


def test_pictures_in_memory_are_read_as_their_file_is(cat: Path) -> None:
    """Every kind of array, tensor and file gives the same ink as the file itself, so the class is never different."""
    picture = Image.open(cat).convert("L")
    levels = np.asarray(picture)
    clear = np.zeros((*levels.shape, 4), np.uint8)
    clear[..., 3] = 255 - levels  # black ink on a transparent background
    first = torch.from_numpy(np.stack([levels] * 3))
    alike = [
        *(picture, picture.convert("RGB"), cat.read_bytes(), cat.open("rb"), io.BytesIO(cat.read_bytes())),
        *(levels, levels.astype(int), levels / 255, (levels / 255).astype(np.float32), levels[..., None], levels[None]),
        *(first, first / 255, first[0], first[:1], first.permute(1, 2, 0), clear, clear / 255),
    ]
    expected = sketch(cat).pixels
    assert expected is not None
    for one in alike:
        found = sketch(one).pixels
        assert found is not None
        assert (found == expected).mean() > 0.999, type(one)


def test_a_list_of_drawings_is_told_from_one_in_strokes(cat: Path) -> None:
    levels, strokes = np.asarray(Image.open(cat).convert("L")), [[[0, 50], [60, 0]], [[20, 80], [60, 60]]]
    for one in (cat, levels, strokes, [np.zeros((5, 2)), np.ones((3, 2))], (np.zeros((5, 2)),), Sketch(strokes=())):
        assert several(one) is None
    tensors = [torch.zeros(5, 2), torch.ones(3, 2)]
    for many in ([cat, levels], [strokes, strokes], [levels], [Image.open(cat)], [torch.zeros(3, 9, 9)], [tensors] * 2):
        assert several(many) == many
    for wrong in ([cat, levels], iter([cat, levels])):
        with pytest.raises(UsageError, match="several drawings, where one is expected"):
            sketch(wrong)


def test_of_many_drawings_the_one_that_is_wrong_is_named(cat: Path) -> None:
    model = ViSketch.load()
    for wrong, problem in ((Image.new("L", (64, 64), 255), "picture: blank"), (3, "not a drawing")):
        with pytest.raises(VisketchError, match=rf"^drawings\[1\]: {problem}"):
            model.classify_many([cat, wrong, cat])
    with pytest.raises(VisketchError, match=r"^drawings\[2\]: "):
        model.classify_many([cat, cat, Sketch(strokes=(np.zeros((0, 2)),))])
    with pytest.raises(VisketchError, match=r"^picture: blank"):
        model.classify(Image.new("L", (64, 64), 255))


def test_strokes_in_rows_may_have_two_points() -> None:
    """A stroke of two points could be rows or pairs; then the other strokes of the drawing decide."""
    listed = [[[0, 50, 100, 0], [60, 0, 60, 60]], [[20, 80], [60, 60]]]
    for kind in (np.uint8, np.int64, np.float32):
        found = sketch([np.array(stroke, kind) for stroke in listed]).lines()
        assert [line.tolist() for line in found] == [line.tolist() for line in sketch(listed).lines()]
    pairs = [np.array([[0.0, 60], [50, 0]]), np.array([[20.0, 60], [80, 60], [90, 70]])]
    assert [line.tolist() for line in sketch(pairs).lines()] == [line.tolist() for line in pairs]


def test_tensors_that_numpy_does_not_take_are_read(cat: Path) -> None:
    levels = torch.from_numpy(np.array(Image.open(cat).convert("L"))) / 255
    assert np.array_equal(sketch(levels.bfloat16()).pixels, sketch(levels.bfloat16().float()).pixels)
    points = torch.tensor([[0.0, 60], [50, 0], [100, 60]])
    for stroke in (points.bfloat16(), points.clone().requires_grad_()):
        (line,) = sketch([stroke]).lines()
        assert line.tolist() == points.tolist()


def test_pictures_and_files_that_cannot_be_read_any_more(cat: Path, tmp_path: Path) -> None:
    """Pillow decodes a picture when its pixels are first needed."""
    (tmp_path / "part.png").write_bytes(cat.read_bytes()[:300])
    for picture in (Image.open(cat), Image.open(tmp_path / "part.png")):
        if picture.filename == str(cat):
            picture.close()
        with pytest.raises(VisketchError, match="picture cannot be read"):
            sketch(picture)
    file = cat.open("rb")
    file.close()
    for wrong in (file, (tmp_path / "new").open("wb")):
        with pytest.raises(UsageError, match="'rb'"):
            sketch(wrong)


class TestViSketch:
    """`from visketch import ViSketch`, with small random weights."""

    @pytest.fixture(scope="class")
    def model(self, tmp_path_factory: pytest.TempPathFactory) -> ViSketch:
        return ViSketch.load(tiny_model.write_checkpoint(tmp_path_factory.mktemp("small"), tiny_model.small()))

    def test_importing_is_free_and_names_are_found(self) -> None:
        code = "import sys, visketch; print('torch' in sys.modules, 'numpy' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["False", "False"]
        assert {"ViSketch", "SketchLanguage", "__version__"} <= set(dir(visketch))
        with pytest.raises(AttributeError, match="nothing"):
            _ = visketch.nothing

    def test_a_type_checker_finds_misspelt_names(self, tmp_path: Path) -> None:
        """It must not see the function that finds names while a program runs. (A copy is checked, which is faster.)"""
        (tmp_path / "copied.py").write_text(Path(visketch.__file__).read_text())
        (tmp_path / "use.py").write_text("import copied\ncopied.__version__.upper()\ncopied.ViSkech\n")
        settings = ("--config-file=", "--ignore-missing-imports", "--follow-imports=skip")
        command = [sys.executable, "-m", "mypy", *settings, "copied.py", "use.py"]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout.splitlines()
        assert said[0].startswith('use.py:3: error: Module has no attribute "ViSkech"')
        assert len(said) == 2, "nothing but this error and their number"

    def test_sketches_are_saved_shown_and_passed_on(self, model: ViSketch, tmp_path: Path) -> None:
        one, other = model.generate("cat", 2, seed=3, steps=2, tries=2)
        assert (one.label, one.seed, other.seed) == ("cat", 3, 4)
        assert one.score is not None, "the classifier chose"
        fields = model.generate_fields("cat", 2, seed=3, steps=2, tries=2)
        assert torch.equal(one.field, fields.canvas[0])
        assert one.image(300).size == (300, 300)
        assert Image.open(one.save(tmp_path / "one.png", 64)).size == (64, 64)
        assert Image.open(io.BytesIO(one._repr_png_())).size == (256, 256)
        for suffix in ("svg", "ndjson"):
            if one.strokes:
                assert len(sketch(one.save(tmp_path / f"one.{suffix}")).lines()) > 0
        with pytest.raises(UsageError, match="png"):
            one.save(tmp_path / "one.jpg")
        assert model.classify(drawings.draw("cat"))[0].label in model.labels

    def test_strokes_of_the_model_are_kept(self, model: ViSketch) -> None:
        given = (np.array([[0, 0], [9, 9]], np.float32),)
        drawn = DrawnSketch.of(torch.full((64, 64), -1.0), 1 / 16, 4.0, given, label="cat")
        assert drawn.strokes == given
        assert drawn.pen == 4
        assert drawn != DrawnSketch.of(drawn.field, 1 / 16, 4.0, given, label="cat")  # a sketch is itself
        assert {drawn: 1}[drawn] == 1
        assert (drawn.image(128).getpixel((9, 9)), drawn.image(128).getpixel((60, 60))) == (0, 255), "they are drawn"
        traced = DrawnSketch.of(model.render([drawings.draw("cat")])[0], 1 / 16, 4.0)
        assert len(traced.strokes) > 1
        assert not traced.in_order

    def test_numbers_may_be_those_of_numpy(self) -> None:
        for number in (check_number("n", np.int64(3), 1), check_seed(np.uint8(255))):
            assert type(number) is int
        options = SamplingOptions()
        vars(options).update(detail=np.int64(3), steps=np.int16(2), tries=np.uint8(1))  # past checks of types
        options.__post_init__()
        assert options == SamplingOptions(detail=3, steps=2, tries=1)
        assert {type(value) for value in (options.detail, options.steps, options.tries)} == {int}

    @pytest.mark.parametrize(
        ("wrong", "problem"),
        [({"refine": "no"}, "refine = 'no'"), ({"soon": "no"}, "soon = 'no'"), ({"tries": 0}, "tries = 0")],
    )
    def test_wrong_options(self, wrong: dict[str, Any], problem: str) -> None:
        options = SamplingOptions()
        vars(options).update(wrong)  # past the checks of types, which only tests have
        with pytest.raises(UsageError, match=problem):
            options.__post_init__()
        with pytest.raises(UsageError, match="did you mean 'tries'"):
            SamplingOptions.changed(SamplingOptions(), {"triez": 3})

    def test_refine_complete_explain(self, model: ViSketch, tmp_path: Path) -> None:
        part = drawings.draw("cat")
        clean = model.refine(part, seed=1)
        assert clean.label == model.classify(part)[0].label
        own = model.classify_fields(clean.field[None], len(model.labels))[0]
        assert clean.score == pytest.approx({guess.label: guess.probability for guess in own}[clean.label], abs=1e-4)
        large = model.refine(part, clean.label, canvas=2 * len(clean.field))
        (seen,) = model.classify_fields(model.fields([large], model.config.reading), len(model.labels))
        assert large.score == pytest.approx({guess.label: guess.probability for guess in seen}[clean.label], abs=1e-4)
        found = model.complete(part, "star", 2, steps=2, tries=1)
        assert [one.label for one in found] == ["star", "star"]
        why = model.explain(part)
        assert why.words.startswith(why.label)
        assert [guess.label for guess in why.guesses] == [guess.label for guess in model.classify(part)]
        assert Image.open(why.save(tmp_path / "why.png")).mode == "RGB"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"tries": 0},
            {"steps": 0},
            {"top_p": 0.0},
            {"temperature": -1.0},
            {"temperature": float("nan")},
            {"guidance": -1.0},
            {"detail": True},
            {"seed": -1},
            {"n": 0},
        ],
    )
    def test_options_out_of_range(self, model: ViSketch, wrong: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match=next(iter(wrong))):
            model.generate("cat", **wrong)

    @pytest.mark.parametrize("wrong", [0, -3, 1.5, "x", True, None])
    def test_whole_numbers(self, wrong: object) -> None:
        with pytest.raises(UsageError, match=re.escape(f"n = {wrong!r}: take a whole number from 1 on")):
            check_number("n", wrong, 1)
        check_number("n", np.int64(1), 1)

    @pytest.mark.parametrize("verb", ["refine", "complete", "vary"])
    def test_seeds_out_of_range(self, model: ViSketch, verb: str) -> None:
        with pytest.raises(UsageError, match="seed = -1: take a whole number from 0 to"):
            getattr(model, verb)(drawings.draw("cat"), "cat", seed=-1)

    def test_numbers_of_answers_out_of_range(self, model: ViSketch) -> None:
        part = drawings.draw("cat")
        for ask in (partial(model.classify, top=0), partial(model.explain, top=0), partial(model.complete, n=-1)):
            with pytest.raises(UsageError, match="take a whole number from 1 on"):
                ask(part)

    def test_wrong_types(self) -> None:
        """In a process of its own, since the tests of this one check types wherever the package is called."""
        program = """
            import io
            from visketch import ViSketch
            from visketch.errors import UsageError
            model = ViSketch.load()
            (sketch,) = model.generate("cat", tries=1)
            for ask in (
                lambda: model.generate(None),
                lambda: model.generate(["cat", "dog"]),
                lambda: model.complete(sketch, 3),
                lambda: model.refine(sketch, strength="much"),
                lambda: model.vary(sketch, strength=True),
                lambda: model.generate("cat", temperature="hot"),
                lambda: sketch.image(12.5),
                lambda: sketch.save("cat.png", size="large"),
                lambda: sketch.save(io.BytesIO()),
                lambda: model.explain(sketch).save(None),
                lambda: model.generate("cat", options=None),
                lambda: model.vary(sketch, options={"steps": 3}),
                lambda: model.morph(sketch, sketch, labels=("cat",)),
                lambda: model.morph(sketch, sketch, labels=("cat", "cat", "dog")),
                lambda: ViSketch.load(3),
                lambda: model.logits(sketch.field),
                lambda: model.classify_fields(sketch.field[None, :64]),
                lambda: model.classify_fields(sketch.field[None].long()),
                lambda: model.embed(sketch.field[None].to("meta")),
                lambda: model.render(sketch),
                lambda: model.render(["cat.png"]),
            ):
                try:
                    ask()
                except UsageError as error:
                    print(error)
        """
        done = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [
            "class None: name one class, such as 'The Eiffel Tower'",
            "class ['cat', 'dog']: name one class, such as 'The Eiffel Tower'",
            "class 3: name one class, such as 'The Eiffel Tower'",
            "strength = 'much': take a number from 0 (only the lines change) to 1 (everything does)",
            "strength = True: take a number from 0 (nothing changes) to 1 (all is new)",
            "temperature = 'hot': take a number from 0 (the most probable code) to 10",
            "size = 12.5: take a whole number from 1 to 4096",
            "size = 'large': take a whole number from 1 to 4096",
            "a result is saved to a path, not to an object of type BytesIO; give a path, or use .image()",
            "a result is saved to a path, not to an object of type NoneType; give a path, or use .image()",
            "options = None: pass SamplingOptions(...), or single options by their names",
            "options = {'steps': 3}: pass SamplingOptions(...), or single options by their names",
            "labels = ('cat',): take two classes, one for each drawing",
            "labels = ('cat', 'cat', 'dog'): take two classes, one for each drawing",
            "a checkpoint of type int; pass a folder or the name of one",
            f"fields of shape (128, 128); {PASS}, and a single field as field[None]",
            f"fields of shape (1, 64, 128); {PASS}, and a single field as field[None]",
            f"fields of type torch.int64; {PASS}",
            f"fields in a tensor that is meta; {PASS}",
            *2 * ["only a list of sketches can be rendered; read each drawing with visketch.data.drawing.sketch"],
        ]

    @pytest.mark.parametrize("wrong", [2.0, -0.1, float("nan")])
    @pytest.mark.parametrize("verb", ["refine", "vary"])
    def test_strengths_out_of_range(self, model: ViSketch, verb: str, wrong: float) -> None:
        with pytest.raises(UsageError, match=re.escape(f"strength = {wrong!r}: take a number from 0")):
            getattr(model, verb)(drawings.draw("cat"), "cat", strength=wrong)

    @pytest.mark.parametrize("wrong", [0, -5, 4097])
    def test_sizes_out_of_range(self, model: ViSketch, tmp_path: Path, wrong: int) -> None:
        (sketch,) = model.generate("cat", tries=1)
        for ask in (sketch.image, partial(sketch.save, tmp_path / "cat.png")):
            with pytest.raises(UsageError, match=re.escape(f"size = {wrong!r}: take a whole number from 1 to 4096")):
                ask(size=wrong)
        assert not list(tmp_path.iterdir())

    def test_no_file_has_a_zero_byte_in_its_name(self, model: ViSketch) -> None:
        (sketch,) = model.generate("cat", tries=1)
        with pytest.raises(VisketchError, match="cannot be written, embedded null byte"):
            sketch.save("cat\0.png")
        with pytest.raises(VisketchError, match="has a zero byte"):
            model.classify("cat\0.png")

    @pytest.mark.parametrize("wrong", [5, None, {}, object()])
    def test_what_is_not_a_drawing(self, model: ViSketch, wrong: Any) -> None:
        with pytest.raises(UsageError, match=f"not a drawing but of type {type(wrong).__name__}"):
            model.classify(wrong)

    @pytest.mark.parametrize("device", ["cuda:99", "gpu", "mps:1"])
    def test_a_device_that_is_not_there(self, model: ViSketch, device: str, cat: Path) -> None:
        with pytest.raises(UsageError, match=f"no device '{device}'"):
            model.to(device)
        assert model.classify(cat), "the model is where it was"

    def test_moves_pickles_and_serves_threads(self, model: ViSketch) -> None:
        again = pickle.loads(pickle.dumps(model)).to("cpu")
        part = drawings.draw("cat")
        with ThreadPoolExecutor(4) as crew:
            answers = list(crew.map(lambda _: ViSketch.load(again.folder).classify(part)[0].label, range(4)))
            shared = list(crew.map(lambda _: again.classify(part)[0].label, range(8)))
        assert {*answers, *shared} == {model.classify(part)[0].label}

    @pytest.mark.parametrize("start", multiprocessing.get_all_start_methods())
    def test_a_used_model_answers_in_another_process(self, model: ViSketch, start: str) -> None:
        """The model is pickled after use. A forked process is refused, since torch's threads do not exist there."""
        part = drawings.draw("cat")
        here = model.classify(part)[0].label
        with ProcessPoolExecutor(1, multiprocessing.get_context(start)) as pool:
            there = pool.submit(process_jobs.label, model, part)
            if start == "fork":
                with pytest.raises(UsageError, match="spawn"):
                    there.result(60)
            else:
                assert there.result(300) == here

    def test_it_is_shown_in_a_notebook(self, model: ViSketch) -> None:
        """IPython calls `_repr_png_`."""
        sketch, why = model.generate("cat", seed=3, steps=2, tries=1)[0], model.explain(drawings.draw("cat"))
        for shown in (sketch, why):
            assert Image.open(io.BytesIO(shown._repr_png_())).format == "PNG"


class TestSketchLanguage:
    """`from visketch import SketchLanguage`, with the shipped weights."""

    @pytest.fixture(scope="class")
    def model(self) -> SketchLanguage:
        return SketchLanguage.load()

    def test_a_used_model_moves_and_is_pickled(self, model: SketchLanguage, cat: Path) -> None:
        here = process_jobs.count(model, cat.parent / "scene.png", cat)
        again = pickle.loads(pickle.dumps(model)).to("cpu")
        assert process_jobs.count(again, cat.parent / "scene.png", cat) == here == 2

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_a_forked_process_is_refused(self, model: SketchLanguage, cat: Path) -> None:
        process_jobs.count(model, cat.parent / "scene.png", cat)
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            there = pool.submit(process_jobs.count, model, cat.parent / "scene.png", cat)
            with pytest.raises(UsageError, match="spawn"):
                there.result(60)


def test_a_blank_picture_is_refused() -> None:
    with pytest.raises(VisketchError, match="blank"):
        sketch(np.full((30, 30), 255, np.uint8))


def test_a_file_of_several_drawings_is_refused(tmp_path: Path) -> None:
    file, line = tmp_path / "two.ndjson", '{"drawing": [[[0, 9], [0, 9]]]}\n'
    file.write_text(2 * line)
    for given in (file, file.read_bytes(), file.open("rb")):
        with pytest.raises(VisketchError, match="more than one drawing in it; give them one by one"):
            sketch(given)
    assert sketch(line.encode()).strokes is not None


def test_a_text_is_no_path() -> None:
    for text in ("<svg>\n</svg>", "x" * 5000):
        with pytest.raises(UsageError, match="pass the content of a file as bytes") as caught:
            sketch(text)
        assert text not in str(caught.value)


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(VisketchError, match="nowhere"):
        ViSketch.load().classify(tmp_path / "nowhere.png")
