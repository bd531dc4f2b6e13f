"""The server's routes: a thin layer over `Review`, which holds the rules."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from align.data.images import BadImage, open_image
from align.records import Verdict
from align.reviewing import scales
from align.reviewing.access import Guard
from align.reviewing.events import Event
from align.reviewing.export import write_exports
from align.reviewing.items import image_path
from align.reviewing.log import LogError
from align.reviewing.scales import NotAllowed
from align.reviewing.state import Conflict, Review
from align.reviewing.summary import agreement_report, counts_by_category, progress

PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# What every browser shows as it is; anything else is decoded here and sent as PNG.
_SHOWN_AS_IT_IS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}


class OtherReview(Exception):
    """A page that was opened for another log: its decisions must not go into this one."""


@dataclass(frozen=True)
class Site:
    """What the page works on: the review, its images, judges to compare with, and the folder of exports."""

    review: Review
    root: Path
    folder: Path
    verdicts: Sequence[Verdict] = ()
    follow_links: bool = False
    title: str = "Review"


def make_app(site: Site, *, host: str, token: str | None, hosts: frozenset[str]) -> Starlette:
    """The application, with its guard. `host` is the address that it will be bound to."""

    def api(handler: Callable[[Site, Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return JSONResponse(await handler(site, request))
            except ValidationError as error:
                problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
                return _refused(422, "; ".join(problems))
            except OtherReview as error:
                return _refused(412, str(error))
            except Conflict as error:
                return _refused(409, str(error))
            except NotAllowed as error:
                return _refused(422, str(error))
            except LogError as error:
                return _refused(503, str(error))
            except ClientDisconnect:
                return _refused(413, "the request was cut off, or is too large")

        return endpoint

    async def image(request: Request) -> Response:
        return await run_in_threadpool(_image, site, request)

    return Starlette(
        routes=[
            Route("/", _page),
            Route("/page/{name}", _page),
            Route("/image/{key}/{number:int}", image),
            Route("/api/setup", api(_setup)),
            Route("/api/queue", api(_queue)),
            Route("/api/item/{key}", api(_item)),
            Route("/api/events", api(_event), methods=["POST"]),
            Route("/api/second-pass", api(_second_pass), methods=["POST"]),
            Route("/api/agreement", api(_agreement)),
            Route("/api/export", api(_export), methods=["POST"]),
        ],
        middleware=[Middleware(Guard, host=host, token=token, hosts=hosts)],
    )


async def _page(request: Request) -> Response:
    name = request.path_params.get("name", "review.html")
    known = {path.name for path in PAGE.iterdir() if path.suffix in _TYPES}
    if name not in known:
        return _refused(404, "no such page")
    # `no-cache` asks each time, so that a page of an older version never talks to a newer server.
    return FileResponse(
        PAGE / name, media_type=_TYPES[Path(name).suffix], headers={"cache-control": "no-cache"}
    )


async def _setup(site: Site, request: Request) -> dict[str, Any]:
    mode, plan = site.review.mode, site.review.plan
    names = [*plan.annotators, *filter(None, [plan.adjudicator])] if plan.annotators else None
    return {
        "review": site.review.log.header.review,
        "title": site.title,
        "mode": mode,
        "items": len(site.review.items),
        "by_category": counts_by_category(site.review.items),
        "scales": [asdict(scale) for scale in scales.SCALES[mode]],
        "categories": {
            name: {"label": label, "definition": definition}
            for name, (label, definition) in scales.CATEGORIES.items()
        },
        "reasons": scales.REJECT_REASONS if mode == "questions" else scales.UNJUDGED_REASONS,
        "annotators": names,
    }


async def _queue(site: Site, request: Request) -> dict[str, Any]:
    annotator, round = _who(site, request)
    return await run_in_threadpool(_queue_of, site.review, annotator, round)


def _queue_of(review: Review, annotator: str, round: int) -> dict[str, Any]:
    return {
        "annotator": annotator,
        "items": [
            [key, review.items[key].question.category, review.done(annotator, round, key)]
            for key in review.queue(annotator, round)
        ],
        "trail": review.trail(annotator, round),
        "second": review.second_pass_left(annotator),
    }


async def _item(site: Site, request: Request) -> dict[str, Any]:
    annotator, round = _who(site, request)
    item = site.review.items.get(request.path_params["key"])
    if item is None:
        raise NotAllowed("there is no such item")
    adjudicates = annotator == site.review.plan.adjudicator
    said = [o for o in site.review.opinions(item.key) if o.annotator != annotator] if adjudicates else []
    return item.shown | {
        "opinions": [opinion.model_dump(exclude_none=True) for opinion in said],
        "key": item.key,
        "digest": item.digest,
        "images": [f"/image/{item.key}/{number}" for number in range(len(item.images))],
        "state": site.review.state(annotator, round, item.key),
        "open": round == 2 or site.review.open_for(annotator, item.key),
    }


async def _event(site: Site, request: Request) -> dict[str, Any]:
    if request.headers.get("x-review") != site.review.log.header.review:
        raise OtherReview("another review is served here now: reload the page")
    event = Event.model_validate(await _body(request))
    logged = await run_in_threadpool(site.review.add, event)
    key = site.review.item_of(logged)
    return {
        "id": logged.id,
        "item": key,
        "state": site.review.state(logged.annotator, logged.round, key),
    }


async def _second_pass(site: Site, request: Request) -> dict[str, Any]:
    name = (await _body(request)).get("annotator")
    if not isinstance(name, str):
        raise NotAllowed("`annotator` is a text")
    return {"items": len(await run_in_threadpool(site.review.draw, name))}


async def _agreement(site: Site, request: Request) -> dict[str, Any]:
    def compute() -> dict[str, Any]:
        report = agreement_report(site.review, site.verdicts, unfinished_second_passes=False)
        return {"progress": progress(site.review)} | report

    return await run_in_threadpool(compute)


async def _export(site: Site, request: Request) -> dict[str, Any]:
    await _body(request)
    report = await run_in_threadpool(write_exports, site.review, site.folder, site.verdicts)
    return {"folder": str(site.folder)} | {
        name: report[name] for name in ("questions", "verdicts") if name in report
    }


def _image(site: Site, request: Request) -> Response:
    item = site.review.items.get(request.path_params["key"])
    number = request.path_params["number"]
    if item is None or number >= len(item.images):
        return _refused(404, "there is no such image")
    try:
        path = image_path(item.images[number], site.root, follow_links=site.follow_links)
        with Image.open(path) as opened:
            kind = _SHOWN_AS_IT_IS.get(opened.format or "")
        if kind is not None:
            return FileResponse(path, media_type=kind, headers={"cache-control": "private, max-age=3600"})
        stream = io.BytesIO()
        open_image(path).save(stream, "PNG")
    except (BadImage, ValueError, OSError, Image.DecompressionBombError) as error:
        return _refused(422, f"this image cannot be shown: {error}")
    return Response(
        stream.getvalue(), media_type="image/png", headers={"cache-control": "private, max-age=3600"}
    )


def _who(site: Site, request: Request) -> tuple[str, int]:
    round = request.query_params.get("round", "1")
    if round not in ("1", "2"):
        raise NotAllowed("`round` is 1 or 2")
    return site.review.name_of(request.query_params.get("annotator", "")), int(round)


async def _body(request: Request) -> Mapping[str, Any]:
    # A form of another site cannot send this type without asking first.
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise NotAllowed("send application/json")
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise NotAllowed(f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise NotAllowed("send a JSON object")
    return body


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status, headers={"cache-control": "no-store"})
