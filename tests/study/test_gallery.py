"""The gallery: executed notebooks of drawings alone, clean, and small enough for git."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode
from PIL import Image

from asen_study.executed import GalleryError, gallery, main, slim
from asen_tf.presets import smoke

ROOT = Path(__file__).parents[2]
OUTPUT = nbformat.v4.new_output


def picture(width: int, form: str = "PNG") -> str:
    """Return noise in base64, as wide as asked: nothing is harder to make small."""
    noise = np.random.default_rng(width).integers(0, 256, (width // 2, width, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(noise).save(written, form)
    return base64.b64encode(written.getvalue()).decode()


def widths(notebook: NotebookNode) -> list[int]:
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for pixels in [
                text for kind, text in output.get("data", {}).items() if kind[:6] == "image/"
            ]:
                found.append(Image.open(io.BytesIO(base64.b64decode(pixels))).width)
    return found


def study(folder: Path, *, settings: dict | None = None, **given: object) -> Path:
    """Return a study whose notebooks are there; 05_results was given these parameters."""
    (folder / "mine" / "notebooks").mkdir(parents=True)
    origin = {"settings": settings or smoke().to_dict()}
    (folder / "mine" / "provenance.json").write_text(json.dumps(origin))
    for name in ("00_method", "05_results", "08_design_evidence"):
        pixels = OUTPUT("display_data", {"image/png": picture(200)}, metadata={})
        html = f'<b>x</b><img src="data:image/png;base64,{picture(60)}">'
        printed = [
            OUTPUT("stream", name="stdout", text=f"{ROOT}/asen_tf and /home/me/data/a.jpg\n"),
            OUTPUT("stream", name="stderr", text="training: 10%|#  | 1/10"),
            OUTPUT(
                "stream", name="stdout", text="/srv/x: finished before, nothing to do\n5 of 7\n"
            ),
        ]
        cell = nbformat.v4.new_code_cell("draw()", outputs=[*printed, pixels])
        cell.outputs.append(OUTPUT("display_data", {"text/html": html}))
        cell.metadata["execution"] = {"iopub.status.busy": "2026-01-01"}
        notebook = nbformat.v4.new_notebook(cells=[cell])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        notebook.metadata["language_info"] = {"name": "python"}
        notebook.metadata["papermill"] = {"parameters": given, "input_path": f"{ROOT}/x.ipynb"}
        nbformat.write(notebook, folder / "mine" / "notebooks" / f"{name}.ipynb")
    return folder / "mine"


def test_folders_progress_bars_and_times_are_gone_and_the_rest_stays(tmp_path: Path) -> None:
    written = gallery(study(tmp_path), tmp_path / "out")
    names = ["00_method.ipynb", "05_results.ipynb", "08_design_evidence.ipynb"]
    assert [path.name for path in written] == names
    notebook = nbformat.read(written[0], as_version=4)
    nbformat.validate(notebook)
    (cell,) = notebook.cells
    assert set(notebook.metadata) == {"kernelspec", "language_info"} and cell.metadata == {}
    printed, pixels, html = cell.outputs
    assert printed.text == "asen_tf and a.jpg\n5 of 7\n"
    assert pixels.data["image/png"] == picture(200)  # it fits, so it stays as it is
    assert html.data["text/html"].startswith("<b>x</b><img ") and picture(60) in str(html.data)


def test_a_large_page_is_left_out_and_other_parts_of_the_study_are_looked_at(
    tmp_path: Path,
) -> None:
    place = study(tmp_path)
    executed = place / "notebooks" / "05_results.ipynb"
    for other, name in (("ablations", "06_ablations"), ("parts", "02_backbone_start")):
        (tmp_path / other / "notebooks").mkdir(parents=True)
        shutil.copy(executed, tmp_path / other / "notebooks" / f"{name}.ipynb")
    notebook = nbformat.read(executed, as_version=4)
    page = OUTPUT("display_data", {"text/html": "<p>" + "x" * 300_000, "text/plain": "HTML"})
    notebook.cells[0].outputs.append(page)
    nbformat.write(notebook, executed)
    written = {path.stem: path for path in gallery(place, tmp_path / "out")}
    assert list(written) == ["00_method", "02_backbone_start", "05_results"] + [
        *("06_ablations", "08_design_evidence")
    ]
    (*_, left) = nbformat.read(written["05_results"], as_version=4).cells[0].outputs
    assert list(left.data) == ["text/plain"] and "a separate page" in left.data["text/plain"]


@pytest.mark.parametrize(
    ("settings", "given", "named"),
    [
        (smoke().override(dataset="Shop").to_dict(), {}, "dataset 'Shop'"),
        (None, {"dataset": "ClothingAttributes-0"}, "dataset 'ClothingAttributes-0'"),
        (None, {"preset": "photos"}, "dataset 'ClothingAttributes-0'"),
        (None, {"raw": "IMAGES"}, "raw 'IMAGES'"),
        (None, {"preset": "smoke", "catalogue": "shop"}, "catalogue 'shop'"),
    ],
)
def test_whatever_may_show_a_photograph_is_refused(
    tmp_path: Path,
    settings: dict | None,
    given: dict,
    named: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = study(tmp_path, settings=settings, **given)
    with pytest.raises(GalleryError, match=f"drawn garments only .*; got {named}"):
        gallery(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert main([str(folder), "--out", str(tmp_path / "out")]) == 2
    assert named in capsys.readouterr().err


def test_a_folder_without_a_finished_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="holds no finished study"):
        gallery(tmp_path, tmp_path / "out")


def test_pictures_yield_until_all_fit_and_keep_their_form_and_texts() -> None:
    described = {"image/png": {"alt": "noise", "width": 900}}
    outputs = [OUTPUT("display_data", {"image/png": picture(900)}, metadata=described)]
    outputs.append(OUTPUT("display_data", {"image/jpeg": picture(700, "JPEG")}, metadata={}))
    whole = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=outputs)])
    slim([whole], 10**9)
    assert widths(whole) == [900, 700]
    slim([whole], 400_000)
    first, second = whole.cells[0].outputs
    assert len(nbformat.writes(whole)) <= 400_000 and 100 < max(widths(whole)) < 700
    assert first.metadata == described and list(second.data) == ["image/jpeg"]
    with pytest.raises(GalleryError, match="still take more than 1,000 bytes"):
        slim([whole], 1_000)


def test_a_finished_study_gives_small_clean_notebooks(smoke_study: Path, tmp_path: Path) -> None:
    place = shutil.copytree(smoke_study / "results" / "smoke", tmp_path / "results" / "smoke")
    written = gallery(place, tmp_path / "out")  # 00 is not a step of the study: it runs here
    numbers = [path.name[:2] for path in written]
    assert numbers == ["00", "01", "02", "03", "04", "05", "07", "08"]
    assert sum(path.stat().st_size for path in written) < 6_000_000
    for path in written:
        notebook = nbformat.read(path, as_version=4)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert outputs and not [one for one in outputs if one.output_type == "error"]
        text = re.sub(r'"[A-Za-z0-9+/=\\n]{200,}"', "", path.read_text(encoding="utf-8"))
        assert str(ROOT) not in text and str(tmp_path) not in text and "it/s]" not in text
        assert str(smoke_study) not in text
    seen = [nbformat.read(path, as_version=4) for path in written]
    assert all(widths(notebook) for notebook in seen[:6])
