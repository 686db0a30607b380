"""The rules of the project, checked in the source: which module may import which, how long a file is, names."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest

from visketch.data.read import read
from visketch.geometry.sketch import Sketch

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# The floor of a module is that of its longest prefix here. Imports go down, or stay within one of these units.
ORDER = (
    ("errors", "configs"),
    ("hub", "labels", "device", "atomic"),
    ("config",),
    ("geometry", "quadtree", "metrics", "parallel"),
    ("sampling", "checkpoint"),
    ("data", "models"),
    ("decoding",),
    ("model",),
    ("tasks", "search"),
    ("render",),
    ("api",),
    ("language",),
    ("training", "evaluate", "serve"),
    ("cli.shared",),
    ("cli",),
    ("cli.evaluate",),
    ("cli.main",),
    ("cli.start",),
)
FLOORS = {f"visketch.{unit}": number for number, units in enumerate(ORDER) for unit in units}

# Each heavy library has one door, or a few: the only modules or folders that may import it.
DOORS = {
    "diffusers": "visketch.models.diffusion",
    "vector_quantize_pytorch": "visketch.models.vqvae",
    "safetensors": "visketch.checkpoint",
    "accelerate": "visketch.training.loop",
    "transformers": ("visketch.models.baseline", "visketch.language.llm.llava"),
    "tokenizers": "visketch.language.llm.tokenizer",
    "peft": "visketch.language.llm.llava",
    "huggingface_hub": "visketch.hub",
    "typer": "visketch.cli",
    "rich": "visketch.cli",
    "coloraide": "visketch.data.css",
    "onnx": "visketch.tasks.export",
    "onnxruntime": ("visketch.tasks.export", "visketch.language.detect.ssd"),
    "pycocotools": "visketch.evaluate.photo_metrics",
    "usearch": "visketch.search.ann",
    "ray": "visketch.parallel",
    "cv2": "visketch.language.dataset.photo_to_sketch",
    "pillow_heif": "visketch.data.image",
    "resvg_py": "visketch.data.resvg",
    "sklearn": "visketch.metrics",
    "matplotlib": "visketch.cli.evaluate.chart",
    "fastapi": "visketch.serve",
    "starlette": "visketch.serve",
    "uvicorn": "visketch.serve.run",
    "prometheus_client": "visketch.serve.metrics",
    "torchvision": "nobody: it breaks diffusers when its build does not match torch's",
}


def name_of(path: Path) -> str:
    """The name under which a file is installed: cli/train.py is visketch.cli.train."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(("visketch", *parts) if parts[0] == "cli" else parts)


MODULES = {name_of(path): path for folder in ("visketch", "cli") for path in sorted((ROOT / folder).rglob("*.py"))}


@cache
def parse(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imports(module: str) -> Iterator[str]:
    """Everything that `module` imports, at the top or within a function, as absolute names."""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*up, node.module] if node.module else up)
            for alias in node.names:  # a name in a package is a module or something in it
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def unit(module: str) -> str:
    """The unit of a module: that of visketch.language.llm.llava is visketch.language."""
    return max((prefix for prefix in FLOORS if within(module, prefix)), key=len)


def floor(module: str) -> int:
    return FLOORS[unit(module)]


def folder(module: str) -> Path:
    return MODULES[module].parent


def own_imports(module: str) -> set[str]:
    """What a module imports from this package. The root imports nothing until one of its names is used."""
    return set() if module == "visketch" else {name for name in imports(module) if name in MODULES}


def test_imports_only_go_down() -> None:
    homeless = [name for name in MODULES if name != "visketch" and not any(within(name, unit) for unit in FLOORS)]
    assert not homeless, "give them a place in ORDER"
    wrong = [
        f"{module} ({unit(module)}) imports {other} ({unit(other)})"
        for module in MODULES
        for other in own_imports(module) - {"visketch"}
        if floor(other) >= floor(module) and unit(other) != unit(module)
    ]
    assert not wrong


def test_heavy_libraries_have_one_door() -> None:
    wrong = []
    for module in MODULES:
        for name in imports(module):
            doors = DOORS.get(name.partition(".")[0], module)
            if not any(within(module, door) for door in (doors if isinstance(doors, tuple) else (doors,))):
                wrong.append(f"{module} imports {name}, whose door is {doors}")
    assert not wrong


def test_nothing_is_unpickled() -> None:
    """A pickle can run anything."""
    for module in MODULES:
        if module != "visketch.data.sketchrnn":  # its format uses pickles; its unpickler calls nothing of theirs
            assert not {"pickle", "dill", "cloudpickle", "joblib", "shelve"} & set(imports(module)), module
        for call in (node for node in ast.walk(parse(module)) if isinstance(node, ast.Call)):
            called, keywords = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
            forbidden = ("eval", "exec", "pickle.load", "pickle.loads", "torch.load")
            assert called not in forbidden, f"{module}:{call.lineno}"
            assert keywords.get("allow_pickle", "False") == "False", f"{module}:{call.lineno}"


def test_files_and_functions_are_short() -> None:
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert not {module: lines for module, lines in lengths.items() if lines > 400}
    assert sum(lines > 300 for lines in lengths.values()) <= 10, "300 lines are the rule, 400 the limit"
    for module in MODULES:
        for node in ast.walk(parse(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.body[0].lineno + 1  # a signature does not count
                assert length <= 60, f"{module}.{node.name} has {length} lines"


def test_names_say_what_is_there() -> None:
    """There is no `utils`. A file begins with a sentence, but a package's __init__ is empty. A class name means one
    thing.
    """
    homes: dict[str, str] = {}
    for module, path in MODULES.items():
        assert module.rpartition(".")[2] not in ("utils", "util", "helpers", "common", "misc"), module
        if path.name == "__init__.py" and module != "visketch":  # the root's names are lazy
            assert not path.read_text().strip(), module
        else:
            assert ast.get_docstring(parse(module)), f"{module} has no docstring"
        for node in parse(module).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                assert homes.setdefault(node.name, module) == module, f"{node.name}: {module} and {homes[node.name]}"


def test_models_do_not_import_each_other() -> None:
    """The exceptions are the blocks that they share, and `parts`, which builds each of them by its name."""
    models = {module for module in MODULES if within(module, "visketch.models")} - {"visketch.models.parts"}
    for module in models:
        shared = {
            "visketch.models",
            *(f"visketch.models.{name}" for name in ("blocks", "flow", "stem", "stroke_transformer")),
        }
        others = own_imports(module) & models - shared
        assert not others, f"{module} imports {others}"


def test_language_knows_nothing_of_quadtrees() -> None:
    """Its only interface to them is a tower. The tower of leaves asks `ViSketch` for vectors and their places."""
    quadtrees = {"visketch.quadtree", "visketch.decoding"}
    quadtrees |= {name for name in MODULES if within(name, "visketch.models")}
    for module in MODULES:
        if within(module, "visketch.language"):
            assert not own_imports(module) & quadtrees


def test_no_import_goes_round_in_a_circle() -> None:
    list(TopologicalSorter({module: own_imports(module) - {module} for module in MODULES}).static_order())


def test_packages_are_the_folders() -> None:
    """The list in pyproject.toml is explicit, so a new folder must be added to it."""
    folders = {name for name, path in MODULES.items() if path.name == "__init__.py"} | {"visketch.checkpoints"}
    folders |= {f"visketch.checkpoints.{card.parent.name}" for card in ROOT.glob("checkpoints/*/README.md")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders
    assert {folder(name) for name in MODULES} <= {folder(name) for name in folders if name in MODULES}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirements: Iterable[str]) -> set[str]:
    return {plain(re.split(r"[<>=~! \[;]", requirement)[0]) for requirement in requirements}


def test_every_library_is_declared() -> None:
    """Every imported library is a dependency or an extra itself, and not one that another happens to install."""
    extras = {name: needs for name, needs in PROJECT["project"]["optional-dependencies"].items() if name != "dev"}
    declared = required([*PROJECT["project"]["dependencies"], *chain.from_iterable(extras.values())])
    brought_by = packages_distributions()
    for module in MODULES:
        for library in {name.partition(".")[0] for name in imports(module)} - sys.stdlib_module_names - {"visketch"}:
            assert declared & {plain(name) for name in brought_by.get(library, [library])}, f"{module}: {library}"


def test_constraints_pin_every_dependency_and_name_no_host() -> None:
    text = (ROOT / "constraints.txt").read_text()
    pins = dict(line.split("==") for line in text.splitlines() if line and not line.startswith("#"))
    assert "/" not in text, "no addresses"
    assert not [name for name, version in pins.items() if "+" in version], "no local versions: they live on one index"
    extras = chain.from_iterable(PROJECT["project"]["optional-dependencies"].values())
    assert required([*PROJECT["project"]["dependencies"], *extras]) <= set(pins)


def test_examples_are_drawings() -> None:
    for path in (ROOT / "docs/examples").glob("*.svg"):
        (sketch,) = read(path)
        assert isinstance(sketch, Sketch), path
        assert len(sketch.lines()) > 1, path


def test_newcomers_do_not_install_the_language_stack() -> None:
    assert not [name for name in PROJECT["project"]["dependencies"] if name.startswith(("transformers", "peft"))]


def test_torchvision_is_not_here() -> None:
    """A build that does not match torch's breaks `import diffusers`. Yours may match, so this test only informs you."""
    if find_spec("torchvision"):
        pytest.skip("torchvision is installed: visketch does not need it, and diffusers fails if it does not fit torch")
