"""DARN: the authors' lists, and the images that are left."""

from __future__ import annotations

import http.server
import shutil
import threading
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import raw_releases

from asen_tf.data import AnnotationError, read_meta, read_split
from data_prep import darn
from data_prep.prepare import prepare


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("darn")
    raw_releases.darn(raw_releases.draw(path / "source", images=90, size=48), path / "raw")
    return path / "raw"


def listed(raw: Path, split: str) -> list[str]:
    return (raw / f"filenames_{split}.txt").read_text().split()


def rows(raw: Path, name: str) -> list[list[int]]:
    lines = (raw / name).read_text().splitlines()
    return [[int(field) for field in line.split()] for line in lines if line]


def test_dead_images_are_left_out_with_their_rows(raw: Path, tmp_path: Path) -> None:
    report = darn.prepare(raw, tmp_path)
    assert read_meta(tmp_path, "DARN").sizes == (20, 13, 55, 7, 28, 11, 26, 8, 17)
    for split in ("train", "valid", "test"):
        names = listed(raw, split)
        found = read_split(tmp_path, "DARN", split)
        assert list(found.files) == [name for name in names if (raw / name).exists()]
        for role, mine in (("query", found.queries), ("candidate", found.candidates)):
            if split == "train":
                role, mine = "label", found.labels
            kept = [
                [names[i], a, v]
                for i, a, v in rows(raw, f"{role}_{split}.txt")
                if (raw / names[i]).exists()
            ]
            assert [[found.files[i], a, v] for i, a, v in mine.tolist()] == kept
    assert set(report.left_out.values()) == {"no such file"}


def test_coverage_is_counted_by_split_and_attribute(raw: Path, tmp_path: Path) -> None:
    report = darn.prepare(raw, tmp_path)
    table = pd.read_csv(tmp_path / "DARN" / "coverage.csv").set_index(["split", "attribute"])
    for split in ("train", "valid", "test"):
        names = listed(raw, split)
        there = [(raw / name).exists() for name in names]
        assert table.loc[split, "images"].tolist() == [sum(there), len(there)]
        held = rows(raw, f"label_{split}.txt") if split == "train" else []
        held += [] if split == "train" else rows(raw, f"query_{split}.txt")
        held += [] if split == "train" else rows(raw, f"candidate_{split}.txt")
        of_colour = [i for i, attribute, _ in held if attribute == 2]
        kept = sum(there[i] for i in of_colour)
        assert table.loc[split, "clothes color"].tolist() == [kept, len(of_colour)]
        assert f"{split}: {sum(there)} of {len(there)} images present" in str(report)


def test_all_or_nothing_on_request(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"\d+ of 90 that are not: .*no such file"):
        darn.prepare(raw, tmp_path, broken="error")
    for name in (*(f"filenames_{s}.txt" for s in ("train", "valid", "test")), "label_train.txt"):
        shutil.copy(raw / name, tmp_path)
    for split in ("valid", "test"):
        for role in ("query", "candidate"):
            shutil.copy(raw / f"{role}_{split}.txt", tmp_path)
    with pytest.raises(AnnotationError, match="none of 90, such as pic/00000/.*--download"):
        darn.prepare(tmp_path, tmp_path / "data")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pic/1/a.jpg", ":2: a line must be <image path> <URL>"),
        ("pic/1/a.jpg ftp://x/a.jpg", ":2: .*http:// or https://"),
        ("../a.jpg http://x/a.jpg", ":2: .*must not leave"),
    ],
)
def test_a_bad_line_of_urls_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "urls.txt"
    path.write_text(f"pic/0/b c.jpg  https://host/b.jpg\n{line}\n")
    with pytest.raises(AnnotationError, match=message):
        darn.read_urls(path)
    path.write_text("pic/0/b c.jpg  https://host/b.jpg\n")
    assert darn.read_urls(path) == {"pic/0/b c.jpg": "https://host/b.jpg"}
    path.write_text("pic/0/b c.jpg\thttps://host/b.jpg\r\npic/1.jpg \t http://[::1/x\n")
    assert darn.read_urls(path) == {
        "pic/0/b c.jpg": "https://host/b.jpg",
        "pic/1.jpg": "http://[::1/x",  # no address: the download records it
    }


def test_what_is_missing_is_fetched_first(raw: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(raw, tmp_path / "raw")
    missing = [name for name in listed(raw, "valid") if not (raw / name).exists()]
    shutil.copytree(raw / "pic", tmp_path / "web" / "pic")
    there = next(name for name in listed(raw, "valid") if (raw / name).exists())
    shutil.copy(raw / there, tmp_path / "web" / "first.jpg")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        urls = [f"{missing[0]} {base}/first.jpg", f"{missing[1]} {base}/gone.jpg"]
        urls += [f"pic/not/listed.jpg {base}/first.jpg", f"{missing[2]}\thttp://[::1/x"]
        (tmp_path / "raw" / "urls.txt").write_text("\n".join(urls))
        arguments = ["--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "data")]
        assert darn.main([*arguments, "--download"]) == 0
        assert "downloads: 1 fetched, 1 gone, 1 rejected" in capsys.readouterr().out
        (tmp_path / "raw" / missing[0]).unlink()
        by_notebook = {"download": tmp_path / "raw" / "urls.txt"}
        report = prepare("DARN", tmp_path / "raw", tmp_path / "data", **by_notebook)
        assert "1 fetched" in str(report)
        server.shutdown()
    valid = read_split(tmp_path / "data", "DARN", "valid")
    assert missing[0] in valid.files and missing[1] not in valid.files
    assert not (tmp_path / "raw" / "pic" / "not").exists()
