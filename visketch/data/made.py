"""What visketch wrote into a file about its origin, so that its own outputs can be told from drawings of others."""

import html
import json
import re
from pathlib import Path
from typing import Any

HEAD = 1 << 14  # the bytes of an SVG in which its description is searched


def facts(path: Path) -> dict[str, Any]:
    """The facts in a PNG or an SVG that visketch wrote. They are empty for every other file."""
    try:
        if path.suffix.lower() == ".svg":
            with path.open("rb") as file:
                found = re.search(r"<desc>(.*?)</desc>", file.read(HEAD).decode(errors="replace"), re.DOTALL)
            said: Any = json.loads(html.unescape(found[1])) if found else {}
        else:
            said = _of_png(path) if path.suffix.lower() == ".png" else {}
    except (OSError, SyntaxError, ValueError, AttributeError):  # it is not one of ours
        return {}
    return said if isinstance(said, dict) else {}


def _of_png(path: Path) -> Any:
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as picture:
        ours = picture.info.get("Software") == "visketch"
        return json.loads(picture.info.get("Description", "{}")) if ours else {}


def is_sheet(path: Path) -> bool:
    """Whether a file is a sheet that visketch wrote: a picture of drawings that are also elsewhere."""
    return bool(facts(path).get("sheet"))


def is_refined(path: Path) -> bool:
    """Whether `visketch refine` wrote a file: a drawing, or the sheet of before and after."""
    return {"of", "strength"} <= facts(path).keys() or is_sheet(path)
