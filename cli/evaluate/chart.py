"""Charts of the evaluations: bars for the generation table, and deletion curves. Only this module uses matplotlib."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from visketch.atomic import write_atomically
from visketch.errors import UsageError

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError:
    raise UsageError("--plot needs matplotlib: pip install 'visketch[evaluate]'") from None

if TYPE_CHECKING:
    from visketch.evaluate.explanation import Deletion
    from visketch.evaluate.generation import GenerationTable
    from visketch.evaluate.generation_metrics import Measure, Proportion
    from visketch.evaluate.judges import Judge

COLOURS = ("#222222", "#999999", "#e0a030", "#3070b0", "#60b0a0")  # the colours of the rows, in this order


def write(path: Path, found: "GenerationTable", judge: "Judge") -> None:
    """Draw a generation table, with a panel for each figure and a bar for each row. Raises VisketchError if the file
    cannot be written.
    """
    figure, asked = Figure(figsize=(10, 6.2), dpi=100, layout="constrained"), len(found.classes)
    known, rows, real = len(judge.labels), found.rows, found.rows[0].diversity.value or 1.0
    panels = {
        f"top-1 of {asked}, %": [share(row.top1_among) for row in rows],
        f"top-1 of {known}, %": [share(row.top1) for row in rows],
        "FID": [measure(row.fid) for row in rows],
        "diversity, real = 1": [measure(row.diversity, real) for row in rows],
        "seam, % of the pen": [measure(row.seam, 0.01) for row in rows],
        "seconds a sketch": [(row.seconds or 0.0, 0.0, 0.0) for row in rows],
    }
    grid = figure.add_gridspec(2, len(panels), height_ratios=(1, 1.1))
    for number, (title, heights) in enumerate(panels.items()):
        bars(figure.add_subplot(grid[0, number]), title, heights)
    by_class(figure.add_subplot(grid[1, :]), found, known)
    note = judge.name if judge.independent else f"{judge.name}, no independent judge"
    figure.suptitle(f"{found.settings.n} sketches a class, as {found.settings.seen}s, judged by: {note}", fontsize=9)
    save(path, figure)


def save(path: Path, figure: Figure) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": "visketch"})
    write_atomically(path, content.getvalue())


def curves(path: Path, found: "Deletion") -> None:
    """Draw deletion curves. Raises VisketchError if the file cannot be written."""
    figure = Figure(figsize=(7, 4.2), dpi=100, layout="constrained")
    panel = figure.add_subplot()
    for number, row in enumerate(found.curves):
        first, last = number == 0, number == len(found.curves) - 1
        style = (
            {"color": "#000000", "linewidth": 2.5} if first else {"color": "#999999", "linestyle": "--"} if last else {}
        )
        panel.plot([100 * x for x in found.shares], [100 * y for y in row.probability], label=row.order, **style)
    panel.set_xlabel("leaves erased, %", fontsize=9)
    panel.set_ylabel("probability of the class, %", fontsize=9)
    panel.set_title(f"{found.drawings} drawings, leaves erased in the order of:", fontsize=9)
    panel.set_ylim(bottom=0)
    panel.legend(fontsize=8, frameon=False)
    plain(panel)
    save(path, figure)


Bar = tuple[float, float, float]  # its height, and the lengths of the whiskers below and above


def share(found: "Proportion") -> Bar:
    return 100 * found.value, 100 * (found.value - found.low), 100 * (found.high - found.value)


def measure(found: "Measure", unit: float = 1.0) -> Bar:
    """A bar with whiskers of two standard errors, which is about a 95 % interval. `unit` is the value that is drawn as
    1.
    """
    whisker = 2 * (found.error or 0.0) / unit
    return found.value / unit, whisker, whisker


def bars(panel: "Axes", title: str, heights: list[Bar]) -> None:
    values, down, up = zip(*heights, strict=True)
    panel.bar(range(len(values)), values, yerr=(down, up), color=COLOURS[: len(values)], ecolor="#555555", capsize=2)
    panel.set_title(title, fontsize=9)
    plain(panel)
    panel.set_xticks([])


def by_class(panel: "Axes", found: "GenerationTable", known: int) -> None:
    """Draw top-1 among all classes that the judge knows. Among the few classes that were drawn, nearly every sketch is
    recognised.
    """
    wide = 0.8 / len(found.rows)
    for number, (row, colour) in enumerate(zip(found.rows, COLOURS, strict=False)):
        values, down, up = zip(*(share(one.top1) for one in row.by_class), strict=True)
        place = [at + (number - (len(found.rows) - 1) / 2) * wide for at in range(len(values))]
        panel.bar(place, values, wide, yerr=(down, up), color=colour, ecolor="#555555", capsize=1, label=row.row)
    panel.set_title(f"top-1 of {known} by class, %", fontsize=9)
    plain(panel)
    panel.set_xticks(range(len(found.classes)), found.classes)
    panel.legend(fontsize=8, ncols=len(found.rows), loc="upper center", bbox_to_anchor=(0.5, -0.08), frameon=False)


def plain(panel: "Axes") -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=8)
