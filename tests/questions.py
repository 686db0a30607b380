"""Questions about scenes, for tests."""

from typing import Any

from visketch.language import closed_questions
from visketch.language.asked import SceneQuestion


def reason(*asked: Any, **more: Any) -> str | None:
    """The answer to the question that a `SceneQuestion` of these arguments asks."""
    return closed_questions.reason(SceneQuestion(*asked, **more))
