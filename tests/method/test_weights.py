"""Authors' checkpoints: the same numbers as PyTorch's, and every array accounted for.

Needs PyTorch (`make test-torch`); without it these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch")

from naive_regions import naive_box  # noqa: E402
from small_model import pictures  # noqa: E402
from torch_models import Asen2020, AsenPP, AsenV22020, Csn2020, Wrapped  # noqa: E402

from asen_tf.backbones.checkpoints import CheckpointError  # noqa: E402
from asen_tf.layers import crop_regions, global_view  # noqa: E402
from asen_tf.models import build_model  # noqa: E402
from asen_tf.presets import paper  # noqa: E402
from asen_tf.weights import load_authors_checkpoint  # noqa: E402

NAMES = ("skirt", "neck", "collar")
THRESHOLD = 0.9  # of the region: high, because untrained maps are broad
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RELATIVES = {"asen": Asen2020, "asen_v2": AsenV22020, "csn": Csn2020}


def alive(network: torch.nn.Module) -> torch.nn.Module:
    """Give batch normalisation statistics of its own, and set inference mode."""
    torch.manual_seed(0)
    for name, module in network.named_modules():
        if name.endswith(("attr_transform1", "mask_fc1")):
            module.weight.data *= 6.0
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
        if isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            module.weight.data *= 60.0  # of the attention: flat maps would show nothing
        if isinstance(module, torch.nn.Embedding):
            torch.nn.init.normal_(module.weight, 0.5, 1.5)
    return network.eval()


def tensor(images: np.ndarray) -> torch.Tensor:
    pixels = (np.asarray(images, np.float32) / 255.0 - MEAN) / STD
    return torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32)


def close(actual: np.ndarray, expected: torch.Tensor) -> None:
    expected = expected.detach().numpy()
    assert actual.shape == expected.shape and np.ptp(expected) > 1e-3
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-5)


@pytest.fixture(scope="module")
def asen_pp(tmp_path_factory: pytest.TempPathFactory):
    """Return the network in PyTorch, its checkpoint, and a model that has loaded it."""
    torch.manual_seed(0)  # whatever other tests have drawn before
    network = alive(AsenPP(3, units=(512, 256), attribute=512, out=1024))
    path = tmp_path_factory.mktemp("asen_pp") / "model_best.pth.tar"
    score = np.float64(0.64)  # the authors keep one beside the arrays
    torch.save({"epoch": 20, "model": network.state_dict(), "mAP": score}, path)
    model = build_model(paper().override(source_size=320, roi_threshold=THRESHOLD), NAMES)
    load_authors_checkpoint(path, model)
    return network, path, model


def test_asen_pp_gives_pytorchs_numbers(asen_pp) -> None:
    network, _, model = asen_pp
    images, attributes = pictures(3, side=320), [0, 1, 2]
    outputs = model.embed_pairs(images, [0, 1, 2], attributes)
    view, asked = global_view(tf.constant(images), 224), torch.tensor(attributes)
    with torch.no_grad():
        whole, maps = network("global", tensor(view), asked)
        naive = [naive_box(heat, 224, THRESHOLD) for heat in maps.numpy()]
        assert any(naive)  # none where rounding decides which pixels are kept
        ours = outputs["boxes"].tolist()
        boxes = np.array([box or own for box, own in zip(naive, ours, strict=True)])
        crops = crop_regions(tf.constant(images), boxes, map_size=224, crop_size=112)
        zoomed, _ = network("local", tensor(crops), asked)
    close(outputs["attention"], maps)
    close(outputs["global"], whole)
    close(outputs["local"], zoomed)
    np.testing.assert_array_equal(outputs["boxes"], boxes)
    assert len({tuple(box) for box in outputs["boxes"].tolist()}) > 1  # not all the whole frame
    unit = torch.nn.functional.normalize  # with b = 0.6: cosines add up to 0.6 g + 0.4 l
    fused = torch.cat([0.6**0.5 * unit(whole), 0.4**0.5 * unit(zoomed)], dim=1)
    np.testing.assert_allclose(outputs["fused"], fused, atol=1e-5)


@pytest.mark.parametrize("method", RELATIVES)
def test_the_2020_models_give_pytorchs_numbers(tmp_path: Path, method: str) -> None:
    torch.manual_seed(3)  # with others, the single score per position of ASEN is the same at all
    network = alive(Wrapped(RELATIVES[method](3)))
    state = {f"module.{name}": array for name, array in network.state_dict().items()}
    torch.save({"epoch": 9, "state_dict": state, "prec": 0.6}, tmp_path / "x.pth.tar")
    model = build_model(paper().override(method=method, source_size=256), NAMES)
    unused = load_authors_checkpoint(tmp_path / "x.pth.tar", model)
    assert [name.split(".", 2)[2] for name in unused] == ["fc.weight", "fc.bias"]
    images = pictures(3, side=256)
    outputs = model.embed_pairs(images, [0, 1, 2], [2, 0, 1])
    with torch.no_grad():
        view = tensor(global_view(tf.constant(images), 224))
        expected, maps = network.embeddingnet(view, torch.tensor([2, 0, 1]))
    found = outputs["global"] / np.linalg.norm(outputs["global"], axis=1, keepdims=True)
    close(found, expected)
    if maps is not None:
        close(outputs["attention"], maps)


# === Every array is accounted for ===


def altered(path: Path, folder: Path, change) -> Path:
    content = torch.load(path, weights_only=False)
    change(content["model"])
    torch.save(content, folder / "altered.pth.tar")
    return folder / "altered.pth.tar"


def test_all_faults_are_listed_and_the_model_stays_as_it_was(asen_pp, tmp_path: Path) -> None:
    _, path, model = asen_pp

    def spoil(state: dict) -> None:
        del state["choices.local.basenet.layer2.0.conv1.weight"]
        state["choices.global.attnnet.fc3.weight"] = torch.zeros(1)
        state["choices.global.attnnet.fc2.bias"] = torch.zeros(7)
        state["choices.local.fc.weight"] = torch.zeros(1)
        state["choices.global.attnnet.fc1.weight"] *= 2.0

    before = [weight.numpy().copy() for weight in model.weights]
    with pytest.raises(CheckpointError) as raised:
        load_authors_checkpoint(altered(path, tmp_path, spoil), model)
    text = str(raised.value)
    assert "unexpected: choices.local.fc.weight" in text  # a classifier, but of no backbone
    assert "missing: choices.local.basenet.layer2.0.conv1.weight" in text
    assert "unexpected: choices.global.attnnet.fc3.weight" in text
    assert "shape of choices.global.attnnet.fc2.bias: (7,) does not fit (1024,)" in text
    for weight, array in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, array)


def test_another_number_of_attributes_does_not_fit(asen_pp) -> None:
    model = build_model(paper(), (*NAMES, "sleeve"))
    with pytest.raises(CheckpointError, match=r"with 4 attributes:\n.*\(3, 512\) does not fit"):
        load_authors_checkpoint(asen_pp[1], model)


def test_tables_of_the_branches_must_be_one(asen_pp, tmp_path: Path) -> None:
    def split(state: dict) -> None:
        name = "choices.local.attrnet.attr_embedding.weight"
        state[name] = state[name] + 1.0

    with pytest.raises(CheckpointError, match="must be the same table"):
        load_authors_checkpoint(altered(asen_pp[1], tmp_path, split), asen_pp[2])


def test_a_checkpoint_of_another_method_is_refused(asen_pp) -> None:
    model = build_model(paper().override(method="csn"), NAMES)
    with pytest.raises(CheckpointError, match="missing: embeddingnet.embed_fc.weight"):
        load_authors_checkpoint(asen_pp[1], model)
    triplet = build_model(paper().override(method="triplet"), NAMES)
    with pytest.raises(TypeError, match="got a TripletNetwork"):
        load_authors_checkpoint(asen_pp[1], triplet)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("code-was-run"),))


@pytest.mark.parametrize("content", ["code", "text", "nothing", "other"])
def test_files_that_are_no_checkpoints_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model, path = build_model(paper().override(method="csn"), NAMES), tmp_path / "x.pth.tar"
    messages = {
        "code": "could run code",
        "text": "not loaded|not a readable checkpoint",
        "nothing": "no such checkpoint",
        "other": "must be kept under model or state_dict; got \\['weights'\\]",
    }
    if content == "code":
        torch.save({"model": {"x": torch.zeros(1)}, "mAP": Evil()}, path)
    elif content == "text":
        path.write_text("not a checkpoint\n")
    elif content == "other":
        torch.save({"weights": {"x": torch.zeros(1)}}, path)
    with pytest.raises(CheckpointError, match=messages[content]):
        load_authors_checkpoint(path, model)
    assert not (tmp_path / "code-was-run").exists()


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "old serialisation"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_checkpoint_that_is_cut_short_is_named_with_what_to_do(
    tmp_path: Path, archive: bool, share: float
) -> None:
    model, path = build_model(paper().override(method="csn"), NAMES), tmp_path / "x.pth.tar"
    content = {"state_dict": {"weight": torch.ones(1000), "bias": torch.ones(1000)}}
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match="it is damaged|only a part of one") as raised:
        load_authors_checkpoint(path, model)
    assert str(raised.value).startswith(f"{path}: ") and len(str(raised.value)) < 1000
