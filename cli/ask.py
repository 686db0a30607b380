"""`visketch ask`: questions about a picture, with a sketch for what is meant."""

from typing import Annotated

import typer

from . import asking, console, options


def ask(
    sketch: asking.Asked,
    picture: asking.Picture,
    questions: Annotated[
        list[str], typer.Argument(metavar="QUESTION...", help="What to ask about the object of the sketch.")
    ],
    checkpoint: asking.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Ask about what a sketch shows in a picture.

    Both are looked at once, however many questions there are. A question may begin with its task: DESC, COUNT, BBOX,
    SBIR or VQA (if it has none). The shipped small model knows the questions of `visketch language prepare`; a 7B one
    takes any.

    \b
    Examples:
      visketch ask cat.png photo.jpg "What is the object of the sketch next to?"
      visketch ask cat.png photo.jpg "What is the object shown in the sketch?" "DESC: List what is in the picture."
    """
    model = asking.load(checkpoint, device)
    asked, scene = asking.query(model, sketch), model.scene(picture)
    answers = [{"question": question, "answer": model.ask(asked, scene, question)} for question in questions]
    if as_json:
        console.document({"sketch": sketch, "picture": picture, "answers": answers})
        return
    for row in answers:
        if len(answers) > 1:
            console.note(row["question"])
        console.say(row["answer"] or "(no answer)")
