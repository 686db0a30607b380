"""Parse requests: JSON with strokes, or a form with a file."""

import asyncio
from typing import Any, NamedTuple, TypeVar

from fastapi import HTTPException, Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from visketch.data import points
from visketch.errors import VisketchError, reworded
from visketch.geometry.sketch import Sketch
from visketch.serve.sandbox import SandboxedReader
from visketch.serve.schemas import LARGEST, ApiRequest, with_drawing

UPLOAD = 16 << 20  # the most bytes of a request
FIELD = 1 << 12  # the most bytes of a form field other than the file
SECONDS = 20.0  # the most seconds to receive a request

Form = TypeVar("Form", bound=ApiRequest)


class DrawingRequest(NamedTuple):
    """A parsed request: its options and its drawing."""

    asked: Any
    sketch: Sketch | None


async def question(request: Request, form: type[ApiRequest], reader: SandboxedReader | None) -> DrawingRequest:
    """Parse a request. `reader` reads files. Without one, the request has no drawing.

    Raises HTTPException for a request of another form, ValidationError for options that are not valid, VisketchError
    for a drawing that cannot be read.
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
    asked = form.model_validate(fields)
    return DrawingRequest(asked, await asyncio.to_thread(reader.read, content, name))


def of_json(body: bytes, form: type[ApiRequest], drawing: bool) -> DrawingRequest:
    if not drawing:
        return DrawingRequest(form.model_validate_json(body, strict=True), None)
    asked = with_drawing(form).model_validate_json(body, strict=True)
    return DrawingRequest(asked, sketch(asked.drawing, asked.key_id is not None))  # type: ignore[attr-defined]


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
        file = {"type": "string", "format": "binary", "description": "Any file of drawings that `classify` reads."}
        fields["properties"] = {"file": file, **fields.get("properties", {})}
        fields["required"] = ["file", *fields.get("required", [])]
        content["multipart/form-data"] = {"schema": fields}
    return {"requestBody": {"required": True, "content": content}}


def in_words(error: ValidationError) -> str:
    """The first few validation errors, in one line."""
    said = [f"{'.'.join(map(str, each['loc'])) or 'request'}: {reworded(each['msg'])}" for each in error.errors()[:3]]
    more = len(error.errors()) - len(said)
    return "; ".join(said) + (f"; and {more} more" if more > 0 else "")
