"""The HTTP API and the page: requests become jobs of the worker, and its answers become responses."""

import asyncio
import contextlib
import hashlib
import json
import logging
import math
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from typing import Any, NamedTuple

from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteException
from starlette.responses import StreamingResponse
from starlette.staticfiles import StaticFiles

from visketch.errors import VisketchError
from visketch.geometry.sketch import POINTS
from visketch.serve import requests, schemas
from visketch.serve.metrics import Metrics
from visketch.serve.middleware import Middleware, problem
from visketch.serve.sandbox import PIXELS, SandboxedReader
from visketch.serve.service import Service
from visketch.serve.worker import BATCH, Full, Job, Stopped, Worker

VERSION = version("visketch")  # read once, since the lookup takes as long as a small request
EVENTS = 16  # the most events that wait for a slow client; others are dropped, since each event replaces the one before
logger = logging.getLogger("visketch.serve")


class Verb(NamedTuple):
    form: type[schemas.ApiRequest]
    answer: type[BaseModel]
    summary: str
    streams: bool = False


VERBS = {
    "classify": Verb(schemas.ClassifyRequest, schemas.ClassifyResponse, "What a drawing shows."),
    "refine": Verb(schemas.RefineRequest, schemas.SketchesResponse, "A rough sketch drawn again.", True),
    "complete": Verb(schemas.CompleteRequest, schemas.CompleteResponse, "A half-drawn sketch finished.", True),
    "generate": Verb(schemas.GenerateRequest, schemas.SketchesResponse, "New sketches of a class.", True),
    "vary": Verb(schemas.VaryRequest, schemas.SketchesResponse, "Variations of a drawing, of its strokes.", True),
    "morph": Verb(schemas.MorphRequest, schemas.MorphResponse, "From one drawing to another, in steps.", True),
    "search": Verb(schemas.SearchRequest, schemas.SearchResponse, "The most similar drawings of the index."),
    "vectorize": Verb(
        schemas.VectorizeRequest, schemas.VectorizeResponse, "Turn any file of a drawing into strokes, SVG and ndjson."
    ),
    "explain": Verb(
        schemas.ExplainRequest,
        schemas.ExplainResponse,
        "Find the leaves of the quadtree that decide the predicted class.",
    ),
}
PROBLEMS = {
    400: "Cut short.",
    401: "The token is missing or wrong.",
    403: "The request comes from a page of another site, or uses a host name that is not allowed.",
    404: "The weights lack a part for this, or the server has no index.",
    408: "The request was not received in time.",
    413: "The request is too large.",
    415: "The body is neither JSON nor a form with a file.",
    422: "The drawing or an option is wrong.",
    429: "Too many requests wait; try again after Retry-After seconds.",
    500: "A bug.",
    503: "The server is stopping, or the work took too long.",
}
ROUTING = {  # what starlette says about a wrong address or method, and what clients read instead
    "Not Found": "nothing is at this address; /api.html lists what is where",
    "Method Not Allowed": "this address takes only {Allow} requests; send one as /api.html shows",
}


def build(
    studio: Service, *, names: frozenset[str] = frozenset(), token: str | None = None, batch: int = BATCH
) -> Middleware:
    """Build the application behind its middleware, with a worker and a file reader.

    `names` and `token` are as in `Middleware`. `batch` is the most drawings that are classified together.
    """
    gauges = Metrics()
    worker, reader = Worker(studio.recognise, gauges, batch=batch), SandboxedReader()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        loading = worker.submit("long", studio.load)
        loading.answer.add_done_callback(partial(loaded, app))
        yield
        worker.stop()
        await asyncio.to_thread(worker.thread.join, 10)
        await asyncio.to_thread(reader.close)

    app = FastAPI(
        title="visketch",
        version=VERSION,
        description="Draw, recognise, refine, complete and search hand-drawn sketches.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from other sites; our page is /api.html
        redoc_url=None,
    )
    app.state.worker, app.state.ready = worker, None
    for name, verb in VERBS.items():
        add_verb(app, name, verb, studio, worker, reader)
    add_facts(app, studio, gauges)
    add_problems(app)
    add_page(app)
    return Middleware(app, names, token, requests.UPLOAD, gauges)


def loaded(app: FastAPI, loading: asyncio.Future[Any]) -> None:
    """Record that the weights have been loaded, or the error with which this failed."""
    if not loading.cancelled():
        app.state.ready = loading.exception() or True
        if loading.exception() and not isinstance(loading.exception(), Stopped):
            logger.error("%s", loading.exception())


def add_verb(app: FastAPI, name: str, verb: Verb, studio: Service, worker: Worker, reader: SandboxedReader) -> None:
    draws = verb.form is not schemas.GenerateRequest  # all other verbs take a drawing

    async def answer(request: Request) -> Response:
        if name not in studio.verbs:
            lacks = "start it with --index" if name == "search" else "its weights lack a part for it"
            raise HTTPException(404, f"this server cannot {name}: {lacks}")
        lane = "quick" if name == "classify" else "long"
        worker.check(lane)  # this comes before any work on the request
        asked, sketch = await requests.question(request, verb.form, reader if draws else None)
        if name == "classify":
            job = worker.submit(lane, (sketch, asked.top))
            return said(await waited(request, worker, job), tag(request, studio))
        work = partial(studio.answer, name, sketch, asked)
        if verb.streams and "text/event-stream" in request.headers.get("accept", ""):
            return stream(request, worker, work)
        return said(await waited(request, worker, worker.submit(lane, work)), tag(request, studio))

    shown: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}} if verb.streams else {}
    ask_so = (
        " With `Accept: text/event-stream` the progress is sent as server-sent events, with `done` as the last one."
    )
    app.add_api_route(
        f"/v1/{name}",
        answer,
        methods=["POST"],
        operation_id=name,
        summary=verb.summary,
        description=verb.summary + (ask_so if verb.streams else ""),
        response_class=Response,
        responses={200: {"model": verb.answer, "content": shown}, **problems()},
        openapi_extra=requests.described(verb.form, draws),
    )


def add_facts(app: FastAPI, studio: Service, gauges: Metrics) -> None:
    @app.get(
        "/v1/about", response_model=schemas.About, responses=problems(401, 403), summary="What this server can do."
    )
    async def about() -> schemas.About:
        return schemas.About(
            version=VERSION,
            checkpoint=studio.name,
            canvas=studio.model.config.sketch.canvas,
            labels=studio.model.labels,
            verbs=studio.verbs,
            index=studio.searched or None,
            limits={"bytes": requests.UPLOAD, "pixels": PIXELS, "points": POINTS, "strokes": schemas.STROKES},
        )

    @app.get("/healthz", summary="Whether the server is running.", responses=problems(403))
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether the weights are loaded.", responses=problems(403, 503))
    async def ready() -> dict[str, str]:
        if app.state.ready is not True:
            raise HTTPException(503, str(app.state.ready or "the weights are still loading"))
        return {"status": "ready"}

    plain: dict[int | str, Any] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

    @app.get(
        "/metrics", summary="Counters for Prometheus.", response_class=Response, responses=plain | problems(401, 403)
    )
    async def metrics() -> Response:
        return Response(gauges.page(), media_type="text/plain; version=0.0.4")


def add_page(app: FastAPI) -> None:
    """Serve the files of the page. They are addressed by name only, so no path leads out of their folder."""
    pages = StaticFiles(directory=str(files("visketch.serve") / "page"))

    @app.get("/", include_in_schema=False)
    @app.get("/{name}", include_in_schema=False)
    async def page(request: Request, name: str = "index.html") -> Response:
        return await pages.get_response(name, request.scope)


def add_problems(app: FastAPI) -> None:
    """Turn exceptions into responses, each with a status, a detail and further headers."""

    def answers(kind: type[Exception], emit: Callable[[Any], tuple[int, str, dict[str, str]]]) -> None:
        async def handle(request: Request, error: Exception) -> Response:
            status, detail, headers = emit(error)
            return problem(status, detail, request.state.request_id, headers)

        app.add_exception_handler(kind, handle)

    def bug(error: Exception) -> tuple[int, str, dict[str, str]]:
        return 500, "internal error; see the server's log", {}

    def refused(error: StarletteException) -> tuple[int, str, dict[str, str]]:
        headers = dict(error.headers or {})
        detail = ROUTING[error.detail].format(**headers) if error.detail in ROUTING else str(error.detail)
        return error.status_code, detail, headers

    answers(StarletteException, refused)
    answers(VisketchError, lambda error: (422, str(error), {}))
    answers(
        Full,
        lambda error: (429, "too many requests are waiting; try again later", {"retry-after": after(error.seconds)}),
    )
    answers(Stopped, lambda error: (503, str(error), {"retry-after": "5"}))
    answers(Exception, bug)


def after(seconds: float) -> str:
    return str(min(max(1, math.ceil(seconds)), 60))


def problems(*which: int) -> dict[int | str, Any]:
    """The OpenAPI description of some error statuses."""
    schema = schemas.ProblemDetails.model_json_schema()
    return {
        status: {"description": words, "content": {"application/problem+json": {"schema": schema}}}
        for status, words in PROBLEMS.items()
        if not which or status in which
    }


def said(answer: BaseModel, headers: dict[str, str]) -> Response:
    return Response(answer.model_dump_json(by_alias=True), headers=headers, media_type="application/json")


def tag(request: Request, studio: Service) -> dict[str, str]:
    """An ETag, which is the same for equal requests to the same weights. It is weak, since rounding makes results
    depend on the batch.
    """
    body = getattr(request, "_body", b"")
    about = f"{VERSION} {studio.weights} {request.url.path} ".encode()
    return {"etag": f'W/"{hashlib.sha256(about + body).hexdigest()[:24]}"'} if body else {}


async def waited(request: Request, worker: Worker, job: Job) -> Any:
    """The answer of a job. If the client disconnects first, the job is cancelled."""
    left = asyncio.ensure_future(hung_up(request))
    try:
        await asyncio.wait({job.answer, left}, return_when=asyncio.FIRST_COMPLETED)
        if not job.answer.done():
            raise HTTPException(400, "the client hung up")
        return job.answer.result()
    finally:
        worker.drop(job)
        left.cancel()


async def hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def stream(request: Request, worker: Worker, work: Any) -> Response:
    """Send events (server-sent events): the progress of `work`, and then `done` with the answer or `error` with the
    problem.
    """
    events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def hear(name: str, data: dict[str, Any]) -> None:
        if events.qsize() < EVENTS:
            events.put_nowait((name, data))

    job = worker.submit("long", work, hear)
    job.answer.add_done_callback(lambda answer: events.put_nowait(("done", answer)))
    left = asyncio.ensure_future(hung_up(request))
    left.add_done_callback(lambda _: worker.drop(job))

    async def lines() -> AsyncIterator[str]:
        try:
            while True:
                name, data = await events.get()
                if name != "done":
                    yield event(name, json.dumps(data))
                elif data.cancelled():
                    return
                elif failed := data.exception():
                    yield event("error", json.dumps(trouble(failed, request.state.request_id)))
                    return
                else:
                    yield event("done", data.result().model_dump_json(by_alias=True))
                    return
        finally:
            left.cancel()

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def trouble(error: BaseException, number: str) -> dict[str, Any]:
    """A problem as an event, for use after the status has been sent."""
    known = isinstance(error, VisketchError | Stopped)
    if not known:
        logger.error("%s: %r", number, error, exc_info=error)
    status = 422 if isinstance(error, VisketchError) else 503 if known else 500
    detail = str(error) if known else "internal error; see the server's log"
    return schemas.ProblemDetails(title="Problem", status=status, detail=detail, request_id=number).model_dump()
