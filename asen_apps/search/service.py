"""Answers to searches of a saved index: by this process, or by `asen serve`, in the same words.

The server keeps a model and an index in memory, listens on this machine alone, and requires a token
that only this user can read. `answer` finds it, and does without it where it does not run.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import os
import secrets
import socket
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from asen_apps.search.backend import SearchIndexError, check_k
from asen_apps.search.frozen import cache_folder, open_embedder
from asen_apps.search.index import AttributeIndex
from asen_apps.search.items import read_conditions
from asen_apps.search.storage import copies, index_notes, model_of
from asen_apps.search.versions import current_version

if TYPE_CHECKING:
    from fastapi import FastAPI

ADDRESS, PORT = "127.0.0.1", 8877
LARGEST_BYTES = 10 * 2**20  # of a picture that is sent
LARGEST_PIXELS = 50_000_000
MOST_HITS, MOST_CONDITIONS = 1000, 50
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # some of Pillow's others start programs
_PATIENCE = 600  # seconds; an attribute may have to be embedded first
_STARTED = 2  # seconds in which a server that runs accepts a connection


@dataclass(frozen=True)
class Question:
    """What is searched for.

    Attributes:
        attributes: name -> weight.
        where: conditions on the metadata, such as `price<50`.
        k: how many hits.
        not_itself: leave out the items with the same file content as the picture.
    """

    attributes: Mapping[str, float]
    where: tuple[str, ...] = ()
    k: int = 10
    not_itself: bool = False


class Catalogue:
    """A saved index with its model, opened when it is first asked, and again when it has changed.

    Args:
        folder: of the index.
        model: its model's file; the one that the index remembers when None.
        root: the folder of the images, if it has moved since the index was saved.
    """

    def __init__(
        self, folder: Path, model: Path | None = None, root: Path | str | None = None
    ) -> None:
        self.folder, self._model, self._root = Path(folder), model, root
        self._lock, self._version = threading.RLock(), None

    def index(self) -> AttributeIndex:
        """Return the index as it is on disk now."""
        with self._lock:
            version = current_version(self.folder)
            if version != self._version:
                embedder = open_embedder(
                    model_of(index_notes(self.folder), self.folder, self._model)
                )
                self._index = AttributeIndex.load(self.folder, embedder, root=self._root)
                self._version = version
            return self._index

    def answer(self, image: Path | bytes, question: Question) -> dict[str, Any]:
        """Return the hits as JSON values.

        Raises:
            asen_tf.data.ImageError: the image cannot be read.
            SearchIndexError: the index or the question is invalid.
        """
        check_k(question.k)
        filters = read_conditions(question.where)
        with self._lock:
            index = self.index()
            without = []
            if question.not_itself:
                content = image if isinstance(image, bytes) else image.read_bytes()
                without = copies(index.notes, hashlib.sha256(content).hexdigest())
            asked = io.BytesIO(image) if isinstance(image, bytes) else image
            try:
                hits = index.search(
                    asked, dict(question.attributes), question.k, filters, without=without
                )
            finally:
                index.drop_unsaved()  # vectors in Milvus of an attribute not embedded before
        return {
            "index": str(self.folder),
            "images": len(index),
            "attributes": dict(question.attributes),
            "where": list(question.where),
            "hits": [
                {
                    "rank": rank,
                    "score": round(hit.score, 6),
                    "reached_by": None if hit.reached_by != hit.reached_by else hit.reached_by,
                    "id": hit.id,
                    "image": str(hit.image),
                    "cosines": {name: round(value, 6) for name, value in hit.parts.items()},
                    "metadata": hit.metadata,
                }
                for rank, hit in enumerate(hits, 1)
            ],
        }


def answer(
    folder: Path,
    image: Path,
    question: Question,
    *,
    model: Path | None = None,
    root: Path | None = None,
) -> dict[str, Any]:
    """Return `Catalogue.answer`, by the server of this index if one runs."""
    place = _address_file(folder)
    if model is None and root is None and place is not None and image.is_file():
        content = image.read_bytes()
        if len(content) <= LARGEST_BYTES and question.k <= MOST_HITS:
            found = _by_server(place, content, question)
            if found is not None:
                return found
    return Catalogue(folder, model, root).answer(image, question)


def _by_server(place: Path, content: bytes, question: Question) -> dict[str, Any] | None:
    """Return the server's answer; None if none runs."""
    try:
        known = json.loads(place.read_text())
        os.kill(known["pid"], 0)  # a killed server leaves its file behind, and its port to others
        socket.create_connection((ADDRESS, known["port"]), _STARTED).close()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    body = {
        "image": base64.b64encode(content).decode(),
        "attributes": dict(question.attributes),
        "where": list(question.where),
        "k": question.k,
        "not_itself": question.not_itself,
    }
    request = urllib.request.Request(
        f"http://{ADDRESS}:{known['port']}/search",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {known['token']}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_PATIENCE) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        try:
            told = json.load(error)["detail"]
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return None
        # Another server took the port, or this one does not read the picture: this process may.
        if error.code != 400 or not isinstance(told, str) or told.startswith("the query image"):
            return None
        raise SearchIndexError(told) from None
    except (OSError, ValueError, http.client.HTTPException):  # cut off, or another program
        return None


def _address_file(folder: Path) -> Path | None:
    """Return where the server of an index writes its port and token; None without a safe place."""
    cache = cache_folder()
    name = hashlib.sha256(str(Path(folder).resolve()).encode()).hexdigest()[:16]
    return None if cache is None else cache / f"serve-{name}.json"


# === The server ===


def serve(catalogue: Catalogue, *, port: int = PORT, token: str | None = None) -> None:
    """Answer searches of an index until Ctrl-C.

    Args:
        catalogue: opened here, so that the first answer is quick, too.
        port: the first to try, then up to 20 more.
        token: what a caller must show; a random one when None.

    Raises:
        SearchIndexError: the index cannot be opened, or no port is free.
    """
    import uvicorn

    index = catalogue.index()
    token = token or secrets.token_urlsafe(24)
    opened = _free_socket(port)
    port = opened.getsockname()[1]
    place = _address_file(catalogue.folder)
    if place is not None:
        place.unlink(missing_ok=True)
        with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            json.dump({"port": port, "token": token, "pid": os.getpid()}, stream)
    print(
        f"{catalogue.folder}: {len(index)} images at http://{ADDRESS}:{port} (Ctrl-C to stop)\n"
        f"`asen search {catalogue.folder} ...` uses it; other programs send the header\n"
        f"Authorization: Bearer {token}\n"
        f"What they can ask is at http://{ADDRESS}:{port}/docs",
        flush=True,
    )
    try:
        config = uvicorn.Config(application(catalogue, token), log_level="warning")
        uvicorn.Server(config).run(sockets=[opened])
    finally:
        opened.close()
        if place is not None:
            with suppress(OSError, ValueError):  # gone, or damaged
                if json.loads(place.read_text())["pid"] == os.getpid():  # not of a later server
                    place.unlink()


def _free_socket(port: int) -> socket.socket:
    for number in range(port, min(port + 21, 2**16)):
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((ADDRESS, number))
            return opened
        except OSError:
            opened.close()
    raise SearchIndexError(f"no port from {port} to {port + 20} is free; give another by --port")


def application(catalogue: Catalogue, token: str) -> FastAPI:
    """Return the HTTP interface: `/search` and `/attributes` with a token, `/docs` without."""
    from fastapi import Depends, FastAPI, HTTPException, Request
    from fastapi.responses import HTMLResponse, JSONResponse
    from fastapi.security import HTTPBearer
    from pydantic import BaseModel, ConfigDict, Field
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    class Search(BaseModel):
        model_config = ConfigDict(extra="forbid")
        image: str = Field(
            description=f"a {', '.join(FORMATS)} file in base64, at most 10 MB and 50 million "
            "pixels",
            max_length=LARGEST_BYTES * 4 // 3 + 4,
        )
        attributes: dict[str, float] = Field(
            description="name -> weight", min_length=1, max_length=MOST_CONDITIONS
        )
        where: list[str] = Field(
            [], description="conditions like brand=Acme, price<50", max_length=MOST_CONDITIONS
        )
        k: int = Field(10, description="how many hits", ge=1, le=MOST_HITS)
        not_itself: bool = Field(False, description="leave out copies of the picture itself")

    bearer = Depends(HTTPBearer(auto_error=False))

    def check(shown: Any = bearer) -> None:
        if shown is None or not secrets.compare_digest(shown.credentials.encode(), token.encode()):
            raise HTTPException(401, "send the token that `asen serve` printed")

    app = FastAPI(
        title="asen serve",
        description=f"Search the catalogue {catalogue.folder.name} by picture and attribute.",
        docs_url=None,  # those pages load their scripts from the internet
        redoc_url=None,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[ADDRESS, "localhost"])

    @app.middleware("http")
    async def limit(request: Request, proceed: Any) -> Any:
        length = request.headers.get("content-length", "" if request.method == "POST" else "0")
        if not length.isdecimal() or int(length) > LARGEST_BYTES * 3 // 2:
            told = "the body must state its length, at most 15 MB; send a smaller copy"
            return JSONResponse({"detail": told}, 413)
        return await proceed(request)

    @app.exception_handler(ValueError)
    def refuse(request: Request, error: ValueError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 400)

    class Escaped(JSONResponse):
        """JSON in ASCII, which also says the names of files that are no UTF-8."""

        def render(self, content: Any) -> bytes:
            return json.dumps(content, allow_nan=False).encode("ascii")

    # Both return a finished response: FastAPI would check and copy what is in it, as UTF-8.
    def search(asked: Any) -> Any:
        content = _picture(asked.image)
        where = tuple(asked.where)
        question = Question(asked.attributes, where, asked.k, asked.not_itself)
        return Escaped(catalogue.answer(content, question))

    def attributes() -> Any:
        index = catalogue.index()
        fields = sorted({name for fields in index.metadata for name in fields})
        names = list(index.attribute_names)
        return Escaped({"attributes": names, "fields": fields, "images": len(index)})

    @app.get("/docs", include_in_schema=False, response_model=None)
    def docs() -> Any:
        return HTMLResponse(_page(app.openapi()))

    search.__annotations__["asked"] = Search  # as a class: by its name it is not found from outside
    guarded = {"dependencies": [Depends(check)]}
    app.post("/search", summary="Find the most similar images", **guarded)(search)
    app.get("/attributes", summary="List the attributes", **guarded)(attributes)
    return app


def _picture(text: str) -> bytes:
    """Return the content of a picture that was sent, after a look at its header."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise SearchIndexError("the image must be a file in base64") from None
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            width, height = opened.size
    except Exception:  # Pillow's decoders raise errors of many kinds
        kinds = ", ".join(FORMATS)
        raise SearchIndexError(f"the query image: not an image; send one of {kinds}") from None
    if width * height > LARGEST_PIXELS or len(content) > LARGEST_BYTES:
        raise SearchIndexError(
            f"the query image: at most {LARGEST_PIXELS // 10**6} million pixels and "
            f"{LARGEST_BYTES // 2**20} MB; got {width} x {height} and "
            f"{len(content) / 2**20:.1f} MB; send a smaller copy"
        )
    return content


def _page(described: Mapping[str, Any]) -> str:
    """Return the OpenAPI description as a page that needs nothing from the internet."""
    parts = []
    for path, methods in described["paths"].items():
        for method, about in methods.items():
            parts.append(f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(about['summary'])}")
    for name, schema in described.get("components", {}).get("schemas", {}).items():
        rows = [
            f"<tr><td>{escape(field)}<td>{escape(str(about.get('type', '')))}"
            f"<td>{escape(str(about.get('description', '')))}"
            for field, about in schema.get("properties", {}).items()
        ]
        parts.append(f"<h2>{escape(name)}</h2><table>{''.join(rows)}</table>")
    title = escape(described["info"]["title"])
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        "<style>body{font:16px sans-serif;max-width:50em;margin:2em auto}"
        "td{border-top:1px solid #ccc;padding:.3em .8em}</style>"
        f"<h1>{title}</h1><p>{escape(described['info']['description'])}<p>Send the header "
        "<code>Authorization: Bearer TOKEN</code>; <code>asen serve</code> prints the token. The "
        f"same in a form for programs: <a href=/openapi.json>openapi.json</a>.{''.join(parts)}"
    )


def attribute_names(path: Path) -> Sequence[str]:
    """Return the attributes of a model's file without loading it; SearchIndexError for others."""
    try:
        with zipfile.ZipFile(path) as opened, opened.open("config.json") as stream:
            names = json.loads(stream.read(2**20))["config"]["attributes"]
        if not all(isinstance(name, str) for name in names):
            raise TypeError("attributes must be names")
        return names
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise SearchIndexError(
            f"{path}: not a model's file ({error}); give a .keras file"
        ) from None
