"""A day with a shop's catalogue, by the commands as typed: from a table to a sheet."""

from __future__ import annotations

import base64
import csv
import http.client
import io
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shop_folder import BROKEN, make_shop, opened, run
from small_model import NAMES, pictures, small_model

from asen_apps.search import frozen, model_fingerprint, service
from asen_apps.search.frozen import FrozenModel, open_embedder
from asen_apps.search.storage import model_of
from asen_tf import embedder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def shop(made: Path) -> Path:
    """Index the shop by one real process, as typed in a terminal."""
    line = f"{sys.executable} -m asen_apps.commands index model.keras --csv shop.csv"
    line += " --images photos --out catalogue"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        shlex.split(line), cwd=made, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr  # some images were left out
    assert "catalogue: 294 images, 3 attributes; 6 left out" in done.stdout
    assert "image/s" in done.stderr and "<" in done.stderr  # images per second, and the time left
    return made


def test_broken_images_are_listed_with_reasons(shop: Path) -> None:
    with open(shop / "catalogue.unreadable.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {int(Path(row["image"]).stem) for row in rows} == set(BROKEN)
    assert all("not a readable image" in row["reason"] for row in rows)


def test_columns_are_metadata_and_numbers_are_numbers(shop: Path) -> None:
    index = opened(shop / "catalogue", shop)
    by_name = dict(zip((path.stem for path in index.images), index.metadata, strict=True))
    assert by_name["004"] == {"Brand": "Acme", "price": 1.0, "Sleeve": "long", "title": "Shirt; 4"}
    assert "Sleeve" not in by_name["005"]  # an empty cell
    assert list(index.store.backends) == list(NAMES)


def test_search_prints_a_table_that_fits_and_answers_the_conditions(
    shop: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    line = "asen search catalogue photos/010.jpg --attribute neckline=0.7 --attribute sleeve=0.3"
    line += " --where brand=Acme --where 'price<50' -k 20"
    code, out, err = run(line, capsys, shop, monkeypatch)
    assert code == 0 and err == "" and "reached by" in out
    assert max(map(len, out.splitlines()[:21])) <= 80
    first = out.splitlines()[1].split()
    assert first[:2] == ["1", "1.0000"] and first[2].endswith("%") and "010.jpg" in first
    code, text, _ = run(f"{line} --not-itself --json", capsys, shop, monkeypatch)
    hits = json.loads(text)["hits"]
    assert len(hits) == 20 and all(hit["metadata"]["Brand"] == "Acme" for hit in hits)
    assert all(hit["metadata"]["price"] < 50 for hit in hits)
    assert not {Path(hit["image"]).stem for hit in hits} & {"010", "011"}
    # The same by the plain index: weights and scores.
    index = opened(shop / "catalogue", shop)
    allowed = [
        row
        for row, (path, about) in enumerate(zip(index.images, index.metadata, strict=True))
        if about["Brand"] == "Acme" and about["price"] < 50 and path.stem != "010"
    ]
    query = [path.stem for path in index.images].index("010")
    totals = sum(
        weight * (index.vectors(name)[allowed] @ index.vectors(name)[query])
        for name, weight in {"neckline": 0.7, "sleeve": 0.3}.items()
    )
    np.testing.assert_allclose([hit["score"] for hit in hits], sorted(totals)[::-1][:20], atol=1e-4)


def test_a_copy_is_not_itself(shop: Path, capsys, monkeypatch) -> None:
    line = "asen search catalogue photos/010.jpg --attribute sleeve -k 3 --csv"
    _, out, _ = run(line, capsys, shop, monkeypatch)
    rows = list(csv.DictReader(out.splitlines()))
    assert {Path(row["image"]).stem for row in rows[:2]} == {"010", "011"}  # the two that are one
    _, out, _ = run(f"{line} --not-itself", capsys, shop, monkeypatch)
    assert not {Path(row["image"]).stem for row in csv.DictReader(out.splitlines())} & {
        "010",
        "011",
    }


def test_how_usual_a_score_is_is_counted_over_random_pairs(shop: Path) -> None:
    index = opened(shop / "catalogue", shop)
    vectors = index.vectors("sleeve")
    cosines = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    for score in np.quantile(cosines, [0.1, 0.5, 0.9]):
        (share,) = index.reached_by({"sleeve": 1.0}, np.array([score]))
        assert share == pytest.approx((cosines >= score).mean(), abs=0.02)
    always_and_never = index.reached_by({"sleeve": 1.0}, np.array([-1.0, 1.1]))
    assert always_and_never.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("kind", ["html", "png"])
def test_a_sheet_shows_pictures_scores_and_values(shop: Path, capsys, monkeypatch, kind) -> None:
    line = "asen search catalogue photos/010.jpg --attribute sleeve -k 7 --where brand=Acme"
    code, out, _ = run(f"{line} --sheet out.{kind}", capsys, shop, monkeypatch)
    assert code == 0 and out == f"out.{kind}: 7 hits\n"
    if kind == "png":
        with Image.open(shop / "out.png") as sheet:
            assert sheet.width == 5 * 240 and sheet.height > 2 * 192  # the query and 7, in two rows
        return
    page = (shop / "out.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 8 and "http" not in page
    assert "reached by" in page and "Brand: Acme" in page and "Shirt; " in page


def test_attributes_lists_what_may_be_asked(shop: Path, capsys, monkeypatch) -> None:
    measured = {"random,-": 70, "asen_pp,global": 50, "asen_pp,local": 61.5, "asen_pp,fused": 58.2}
    rows = [f"{kind},0,sleeve,{score}\n" for kind, score in measured.items()]
    (shop / "map.csv").write_text("method,embedding,seed,attribute,map\n" + "".join(rows))
    code, out, _ = run("asen attributes model.keras", capsys, shop, monkeypatch)
    assert code == 0 and out.splitlines() == ["neckline", "sleeve  (MAP on test 58.2%)", "buttons"]
    code, out, _ = run("asen attributes catalogue", capsys, shop, monkeypatch)
    assert "neckline  (ready)" in out and "294 images; made with" in out
    assert "sleeve  (MAP on test 58.2%, ready)" in out  # of the embedding that it compares
    assert "fields for --where: Brand, price, Sleeve, title\n" in out
    line = "asen index model.keras photos/010.jpg photos/020.jpg --embedding local --out local"
    assert run(line, capsys, shop, monkeypatch)[0] == 0
    _, out, _ = run("asen attributes local", capsys, shop, monkeypatch)
    assert "sleeve  (MAP on test 61.5%, ready)" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--where brand=Acm", "no item has Brand=Acm; did you mean 'Acme'?"),
        ("--where colour=red", "no item has a field 'colour' to filter by"),
        ("--where brand", "a condition is a field, a comparison"),
        ("--where 'title<5'", "no item's 'title' is a number"),
        ("--attribute sleave", "did you mean 'sleeve'?"),
        ("-k 0", "k, the number of hits, must be an integer from 1 up"),
        ("--sheet out.pdf", "must end in .html or .png"),
    ],
)
def test_what_cannot_be_asked_is_said(shop: Path, capsys, monkeypatch, words, message) -> None:
    line = f"asen search catalogue photos/010.jpg --attribute sleeve {words}"
    code, out, err = run(line, capsys, shop, monkeypatch)
    assert code == 2 and message in err and out == ""


def test_another_model_in_its_place_is_noticed(shop: Path, tmp_path, capsys, monkeypatch) -> None:
    shutil.copytree(shop / "catalogue", tmp_path / "catalogue")
    notes = json.loads((tmp_path / "catalogue" / "v0001" / "notes.json").read_text())
    moved = tmp_path / "model.keras"
    shutil.copy(notes["model"]["path"], moved)
    assert model_of({"model": {**notes["model"], "path": str(moved)}}, "catalogue") == moved
    moved.write_bytes(b"another")
    with pytest.raises(ValueError, match="wrong checksum"):
        model_of({"model": {**notes["model"], "path": str(moved)}}, "catalogue")


def test_a_model_that_has_moved_is_named_anew(
    shop: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    shutil.copytree(shop / "catalogue", tmp_path / "catalogue")
    moved = tmp_path / "model.keras"
    asked = "asen search {} photos/010.jpg --attribute sleeve {}"
    (shop / "model.keras").rename(moved)
    try:
        for line in ("asen attributes {} {}", asked):
            code, _, err = run(line.format("catalogue", ""), capsys, shop, monkeypatch)
            assert code == 2 and "the model of catalogue is gone; give it by --model" in err
            code, out, err = run(
                line.format("catalogue", f"--model {moved}"), capsys, shop, monkeypatch
            )
            assert code == 0 and ("neckline" in out or "010.jpg" in out), err
        line = f"asen index --update --out {tmp_path / 'catalogue'}"
        code, _, err = run(line, capsys, shop, monkeypatch)
        assert code == 2 and "is gone; name it: asen index MODEL --update" in err
        line = line.replace("--update", f"{moved} --update")
        assert run(line, capsys, shop, monkeypatch)[1].startswith(f"{tmp_path}/catalogue: 0 added")
    finally:
        moved.rename(shop / "model.keras")


# === The server ===


@pytest.fixture(scope="module")
def served(shop: Path):
    """Serve the shop in a thread of this process; yield its address file's content."""
    folder = shop / "catalogue"
    catalogue = service.Catalogue(folder)
    place = service._address_file(folder)
    thread = threading.Thread(target=_serve, args=(catalogue,), daemon=True)
    thread.start()
    end = time.monotonic() + 300
    while True:
        assert thread.is_alive() and time.monotonic() < end
        try:
            port = json.loads(place.read_text())["port"]
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except (OSError, ValueError):
            time.sleep(0.05)
    yield json.loads(place.read_text())
    service_running[0].should_exit = True
    thread.join(30)
    assert not place.exists()


service_running: list = []


def _serve(catalogue: service.Catalogue) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        def __init__(self, config):
            super().__init__(config)
            service_running.append(self)

    before, uvicorn.Server = uvicorn.Server, Server
    try:
        service.serve(catalogue, token="a token for tests")
    finally:
        uvicorn.Server = before


def ask(served: dict, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{served['port']}{path}",
        body,
        {"Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_server_gives_the_command_the_same_answers(
    shop: Path, served, capsys, monkeypatch
) -> None:
    line = "asen search catalogue photos/020.jpg --attribute sleeve --attribute neckline=0.5"
    line += " --where 'price>=10' --not-itself -k 9 --json"
    asked = []
    answer = service.Catalogue.answer
    monkeypatch.setattr(
        service.Catalogue, "answer", lambda self, *a: asked.append(a) or answer(self, *a)
    )
    _, by_server, _ = run(line, capsys, shop, monkeypatch)
    assert isinstance(asked[0][0], bytes)  # the server got the file's content
    monkeypatch.setattr(service, "_by_server", lambda *a: None)
    _, alone, _ = run(line, capsys, shop, monkeypatch)
    assert json.loads(by_server)["hits"] == json.loads(alone)["hits"]
    monkeypatch.undo()
    code, _, err = run(line + " --where brand=Acm", capsys, shop, monkeypatch)
    assert code == 2 and "did you mean 'Acme'?" in err


def test_the_server_wants_a_token_and_keeps_its_limits(served: dict) -> None:
    assert ask(served, "/search", b"{}")[0] == 401
    assert ask(served, "/attributes", Authorization="Bearer wrong")[0] == 401
    key = {"Authorization": f"Bearer {served['token']}"}
    assert json.loads(ask(served, "/attributes", **key)[1])["images"] == 294
    assert ask(served, "/attributes", **key, Host="evil.example")[0] == 400
    assert ask(served, "/search", b"{}", **key)[0] == 422
    picture = {"image": "bm8gaW1hZ2U=", "attributes": {"sleeve": 1}}
    code, told = ask(served, "/search", json.dumps(picture).encode(), **key)
    assert code == 400 and "not an image" in told
    Image.new("1", (10_000, 5_001)).save(stream := io.BytesIO(), "PNG")  # a few kilobytes
    huge = {**picture, "image": base64.b64encode(stream.getvalue()).decode()}
    code, told = ask(served, "/search", json.dumps(huge).encode(), **key)
    assert code == 400 and "at most 50 million pixels" in told and "10000 x 5001" in told
    code, told = ask(served, "/search", json.dumps({**picture, "k": 1001}).encode(), **key)
    assert code == 422 and "1000" in told
    large = http.client.HTTPConnection("127.0.0.1", served["port"], timeout=60)
    large.putrequest("POST", "/search")
    large.putheader("Content-Length", "16000000")
    large.endheaders()
    assert large.getresponse().status == 413  # before any of it was read
    large.close()


def test_the_server_describes_itself_without_the_internet(served: dict) -> None:
    described = json.loads(ask(served, "/openapi.json")[1])
    assert set(described["paths"]) == {"/search", "/attributes"}
    code, page = ask(served, "/docs")
    assert code == 200 and "POST /search" in page and "http" not in page.replace("html", "")


def test_where_the_token_lies_is_for_this_user_alone(shop: Path, served: dict) -> None:
    assert service._address_file(shop / "catalogue").stat().st_mode & 0o077 == 0


def test_the_first_answer_does_without_building_a_model(shop: Path, capsys, monkeypatch) -> None:
    def build(path: Path) -> None:
        raise AssertionError("it was built")

    monkeypatch.setattr(embedder, "load_saved", build)
    line = "asen search catalogue photos/010.jpg --attribute sleeve"
    code, out, err = run(line, capsys, shop, monkeypatch)
    assert code == 0 and "010.jpg" in out, err


def test_what_is_kept_for_later_starts_gives_the_models_own_vectors(shop: Path) -> None:
    kept, model = open_embedder(shop / "model.keras"), small_model()
    assert isinstance(kept.model, FrozenModel)
    assert kept.model.fingerprint == model_fingerprint(model)
    own = embedder.Embedder(model)
    photo = shop / "photos" / "010.jpg"
    np.testing.assert_allclose(kept.embed_all([photo]), own.embed_all([photo]), atol=1e-6)
    seen, expected = kept.attend(photo, "sleeve"), own.attend(photo, "sleeve")
    np.testing.assert_allclose(seen.map, expected.map, atol=1e-6)
    assert seen.region == expected.region
    for one in (kept.model, model):  # and refuses what the model does
        for rows, got in (([1], r"1\.\.1"), ([0.5], "float64")):
            with pytest.raises(ValueError, match=rf"rows must be indices in \[0, 1\), .*got {got}"):
                one.embed_pairs(pictures(1), rows, [0])


def test_a_kept_graph_that_was_changed_is_not_run(shop: Path, monkeypatch, tmp_path) -> None:
    shutil.copytree(frozen.cache_folder(), tmp_path / "cache")
    monkeypatch.setenv("ASEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").chmod(0o700)
    for graph in (tmp_path / "cache").glob("*.graph"):
        graph.write_bytes(graph.read_bytes() + b"x")
    place = frozen._place(shop / "model.keras")
    with pytest.raises(ValueError, match="not the graph that was written"):
        FrozenModel(place)
    (tmp_path / "cache").chmod(0o777)  # others could write: nothing is read or kept there
    assert frozen.cache_folder() is None
