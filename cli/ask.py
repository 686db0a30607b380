"""`visketch ask`: ask questions about a picture, with a sketch of the object that they are about."""

from typing import Annotated

import typer

from visketch.errors import UsageError, VisketchError

from .shared import console, options, sketch_query

TRAINED = "questions of the kinds COUNT, BBOX, VQA, DESC and SBIR about its own classes"


def ask(
    sketch: sketch_query.Asked,
    picture: sketch_query.Picture,
    questions: Annotated[
        list[str], typer.Argument(metavar="QUESTION...", help="Questions about the object of the sketch.")
    ],
    by: sketch_query.By = None,
    checkpoint: sketch_query.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Ask about what a sketch shows in a picture.

    Both files are read once, however many questions there are. A closed question (what is it, how many, where, what
    colour, next to what, left or right of what, the largest?) is answered from the boxes that were found. It is about
    the object of the sketch, or about another class that the question names. The language model answers
    questions that begin with a task (DESC:, COUNT:, BBOX:, SBIR:). It was not trained on other open questions, so it
    only guesses at them with --by language. Only the lines of the sketch count. Only reads: no file is written.

    \b
    Examples:
      visketch ask cat.png photo.jpg "What is the object of the sketch next to?"
      visketch ask cat.png scene.png "How many red cats are there?" "DESC: List what is in the picture."
    """
    model = sketch_query.load(checkpoint, device)
    for question in questions:
        model.check(question, by)
    asked, scene = sketch_query.query(model, sketch), model.scene(picture)
    answers: list[sketch_query.Row] = []
    code = 0
    for question in questions:
        try:
            answer, who = model.ask(asked, scene, question, by)
        except VisketchError as error:
            answers.append({"question": question, "error": str(error)})
            console.error(error)
            code = max(code, console.MISUSED if isinstance(error, UsageError) else console.FAILED)
            continue
        note = sketch_query.wider(question) if who == "detector" and not model.detector else ""
        answers.append({"question": question, "answer": answer, "by": who} | ({"note": note} if note else {}))
        if not as_json:
            console.say(f"{answer or '(no answer)'}  {sketch_query.beside(answers[-1])}")
    if any(row.get("by") == "language" and model.is_free(row["question"]) for row in answers):
        console.note(f"the small language model was trained on {TRAINED}; do not rely on its other answers")
    if as_json:
        console.document({"sketch": sketch, "picture": picture, "answers": answers})
    if code:
        raise typer.Exit(code)
