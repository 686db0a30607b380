"""Parse requests: JSON with strokes, or a form with a file."""

import asyncio
from typing import Any, NamedTuple, TypeVar

from fastapi import HTTPException, Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from visketch.data import points
from visketch.errors import VisketchError, nearest, reworded
from visketch.geometry.sketch import Sketch
from visketch.serve.sandbox import SandboxedReader
from visketch.serve.schemas import LARGEST, ApiRequest, with_drawing

UPLOAD = 16 << 20  # the most bytes of a request
FIELD = 1 << 12  # the most bytes of a form field other than the file
SECONDS = 20.0  # the most seconds to receive a request
# What is wrong with a field and how to mend it, by pydantic's type of the error. Only drawings are lists here, and only
# classes have a limited length.
WRONG = {
    "missing": "missing; send it as /api.html shows",
    "too_short": "empty; send at least one stroke",
    "too_long": "more than {max_length} strokes; simplify it",
    "list_type": "must be a list of strokes, as /api.html shows",
    "string_too_short": "empty; name a class that GET /v1/about lists",
    "string_too_long": "longer than {max_length} characters; name a class that GET /v1/about lists",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "must be a JSON object, as /api.html shows",
    "json_invalid": "not valid JSON ({error}); correct it, or compare it with /api.html",
}

Form = TypeVar("Form", bound=ApiRequest)


class DrawingRequest(NamedTuple):
    """A parsed request: its options and its drawing."""

    asked: Any
    sketch: Sketch | None


async def question(request: Request, form: type[ApiRequest], reader: SandboxedReader | None) -> DrawingRequest:
    """Parse a request. `reader` reads files. Without one, the request has no drawing.

    Raises HTTPException for a request of another form or with options that are not valid, VisketchError for a drawing
    that cannot be read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(SECONDS):
            if kind == "application/json":
                return of_json(await request.body(), form, drawing=reader is not None)
            if kind == "multipart/form-data" and reader:
                content, name, fields = await uploaded(request)
            else:
                either = " or a form with a file (multipart/form-data)" if reader else ""
                raise HTTPException(415, f"send JSON (application/json){either}")
    except TimeoutError:
        raise HTTPException(408, f"the request was not received within {SECONDS:.0f} seconds") from None
    except ClientDisconnect:
        raise HTTPException(400, "the request is incomplete") from None
    try:
        asked = form.model_validate(fields)
    except ValidationError as error:
        raise refused(error, ["file", *names(form)]) from None
    return DrawingRequest(asked, await asyncio.to_thread(reader.read, content, name))


def of_json(body: bytes, form: type[ApiRequest], drawing: bool) -> DrawingRequest:
    whole = with_drawing(form) if drawing else form
    try:
        asked: Any = whole.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise refused(error, [*(["drawing"] if drawing else []), *names(form)]) from None
    return DrawingRequest(asked, sketch(asked.drawing, asked.key_id is not None) if drawing else None)


def sketch(drawing: list, published: bool = False) -> Sketch:
    """Turn strokes into a sketch. `published` says that they are in QuickDraw's own form, in rows.

    Raises VisketchError for strokes that are invalid, too many, or too large.
    """
    try:
        found = Sketch(strokes=points.strokes(drawing, "rows" if published else None), source="drawing")
    except ValueError as error:
        raise VisketchError(f"drawing: {error}") from None
    if any((abs(stroke) > LARGEST).any() for stroke in found.strokes or ()):
        raise VisketchError(f"drawing: a coordinate is larger than {LARGEST:,.0f}; scale the drawing down")
    found.lines()
    return found


async def uploaded(request: Request) -> tuple[bytes, str, dict[str, str]]:
    """The file of a form, its name, and the other fields of the form."""
    async with request.form(max_files=1, max_fields=16, max_part_size=FIELD) as fields:
        file = fields.get("file")
        if not isinstance(file, UploadFile):
            raise HTTPException(422, 'the form has no "file"')
        said = {name: value for name, value in fields.items() if isinstance(value, str)}
        return await file.read(), file.filename or "", said


def described(form: type[ApiRequest], drawing: bool) -> dict[str, Any]:
    """The OpenAPI description of the request body."""
    whole = with_drawing(form) if drawing else form
    content = {"application/json": {"schema": whole.model_json_schema()}}
    if drawing:
        fields = form.model_json_schema()
        file = {"type": "string", "format": "binary", "description": "One drawing, in any file that `classify` reads."}
        fields["properties"] = {"file": file, **fields.get("properties", {})}
        fields["required"] = ["file", *fields.get("required", [])]
        content["multipart/form-data"] = {"schema": fields}
    return {"requestBody": {"required": True, "content": content}}


def names(form: type[ApiRequest]) -> list[str]:
    """The fields of a request, apart from the drawing, by the names that clients use."""
    return [field.alias or name for name, field in form.model_fields.items()]


def refused(error: ValidationError, known: list[str]) -> HTTPException:
    """The first few validation errors, in one line. `known` are the names of the fields that the request may have."""
    said = [in_words(each, known) for each in error.errors()[:3]]
    more = error.error_count() - len(said)
    return HTTPException(422, "; ".join(said) + (f"; and {more} more" if more > 0 else ""))


def in_words(each: Any, known: list[str]) -> str:
    """One of pydantic's validation errors, in plain words. `known` is as in `refused`."""
    name = str(each["loc"][0]) if each["loc"] else "the request"  # a field with several types has a longer place
    if each["type"] == "extra_forbidden":
        return f"{name}: not a field of this request; {nearest(name, known)}"
    said = WRONG.get(each["type"])
    return f"{name}: {said.format(**each.get('ctx', {})) if said else reworded(each['msg'])}"
