"""torchvision's files as a start, and the command line that turns a checkpoint into a model."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch")

from small_model import pictures  # noqa: E402
from test_weights import MEAN, STD, alive, close, tensor  # noqa: E402
from torch_models import AsenPP, Csn2020, ResNet, Wrapped  # noqa: E402

from asen_apps.commands import main  # noqa: E402
from asen_study.measurement import measure  # noqa: E402
from asen_study.runs import Places  # noqa: E402
from asen_study.starts import load_starting_weights  # noqa: E402
from asen_tf.backbones import BackboneError, build_backbone  # noqa: E402
from asen_tf.data import AttributeTable  # noqa: E402
from asen_tf.embedder import Embedder  # noqa: E402
from asen_tf.models import build_model  # noqa: E402
from asen_tf.presets import paper  # noqa: E402
from asen_tf.weights import load_authors_checkpoint  # noqa: E402
from data_prep.synthetic import make_dataset  # noqa: E402
from data_prep.writing import write_meta  # noqa: E402


def torchvision_file(folder: Path, name: str) -> tuple[torch.nn.Module, Path]:
    """Write what torchvision's files hold: the three stages, a fourth one and a classifier."""
    network = alive(ResNet(name))
    state = dict(network.state_dict())
    state |= {"layer4.0.conv1.weight": torch.zeros(1), "fc.weight": torch.zeros(1)}
    state["fc.bias"] = torch.zeros(1)
    torch.save(state, folder / f"{name}-0123abcd.pth")
    return network, folder / f"{name}-0123abcd.pth"


@pytest.mark.parametrize("name", ["resnet34", "resnet50"])
@pytest.mark.parametrize("side", [112, 75])  # an odd side shows how strides are padded
def test_a_torchvision_file_gives_pytorchs_features(tmp_path: Path, name: str, side: int) -> None:
    network, path = torchvision_file(tmp_path, name)
    images = pictures(2, side=side)
    normalised = ((images.astype(np.float32) / 255.0 - MEAN) / STD).astype(np.float32)
    found = build_backbone(name, weights=path, prefix="local_")(normalised).numpy()
    with torch.no_grad():
        close(found, network(tensor(images)).permute(0, 2, 3, 1))


def test_both_branches_start_from_the_files_in_the_folder(tmp_path: Path) -> None:
    files = {name: torchvision_file(tmp_path, name)[0] for name in ("resnet50", "resnet34")}
    config = paper().override(imagenet_dir=str(tmp_path))
    model = build_model(config, ("a", "b"))
    load_starting_weights(model, config, None)
    for name, backbone in model.backbones:
        kernel = files[name].conv1.weight.detach().numpy().transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(backbone.weights[0], kernel)


def test_without_a_file_the_error_says_where_it_comes_from(tmp_path: Path) -> None:
    config = paper().override(imagenet_dir=str(tmp_path))
    with pytest.raises(BackboneError, match=r"no file resnet50-\*.pth.*resnet50-19c8e357.pth"):
        load_starting_weights(build_model(config, ("a", "b")), config, None)


def test_a_file_of_another_network_lists_what_does_not_fit(tmp_path: Path) -> None:
    _, path = torchvision_file(tmp_path, "resnet34")
    with pytest.raises(BackboneError) as raised:
        build_backbone("resnet50", weights=path)
    assert "missing: layer1.0.conv3.weight" in str(raised.value)
    assert "shape of layer1.0.conv1.weight: (3, 3, 64, 64) does not fit (1, 1, 64, 64)" in str(
        raised.value
    )


def test_the_command_line_writes_a_model_that_embeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = alive(AsenPP(2, units=(512, 256), attribute=512, out=1024))
    torch.save({"epoch": 1, "model": network.state_dict(), "mAP": 0.5}, tmp_path / "x.pth.tar")
    write_meta(tmp_path, "Tiny", AttributeTable(("collar", "neck"), (3, 3)))
    arguments = [str(tmp_path / "x.pth.tar"), str(tmp_path / "model.keras")]
    assert main(["weights", *arguments, "--data", str(tmp_path / "absent")]) == 2  # nor any names
    assert "--attributes" in capsys.readouterr().err
    assert main(["weights", *arguments, "--attributes", "a", "b"]) == 0
    assert Embedder.load(tmp_path / "model.keras").attribute_names == ("a", "b")
    capsys.readouterr()
    assert main(["weights", *arguments, "--dataset", "Tiny", "--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "asen_pp, collar, neck" in printed and "not used" not in printed
    embedder = Embedder.load(tmp_path / "model.keras")
    assert embedder.attribute_names == ("collar", "neck")
    table = network.choices["global"]["attrnet"].attr_embedding.weight.detach().numpy()
    np.testing.assert_array_equal(embedder.model.attribute_table.embeddings, table)
    assert main(["weights", *arguments, "--dataset", "Other", "--data", str(tmp_path)]) == 2
    assert "Other" in capsys.readouterr().err


def test_the_command_line_lists_what_the_method_does_not_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = alive(Wrapped(Csn2020(2))).state_dict()
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "x.pth.tar")
    write_meta(tmp_path, "Tiny", AttributeTable(("collar", "neck"), (3, 3)))
    arguments = [str(tmp_path / "x.pth.tar"), str(tmp_path / "model.keras"), "--method", "csn"]
    assert main(["weights", *arguments, "--dataset", "Tiny", "--data", str(tmp_path)]) == 0
    expected = "embeddingnet.embeddingnet.fc.weight, embeddingnet.embeddingnet.fc.bias"
    assert f"not used by the method (2 arrays): {expected}" in capsys.readouterr().out


def test_a_file_of_pytorch_1_and_a_backbone_with_a_fourth_stage_are_read(tmp_path: Path) -> None:
    network, path = alive(Wrapped(Csn2020(2, ("layer4", "fc")))), tmp_path / "x.pth.tar"
    # What the release's PyTorch 1.1 wrote is no zip archive.
    content = {"state_dict": network.state_dict(), "prec": np.float64(0.6)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(path)
    model = build_model(paper().override(method="csn"), ("a", "b"))
    unused = load_authors_checkpoint(path, model)
    backbone = "embeddingnet.embeddingnet."
    beyond = {f"{backbone}{name}" for name in network.embeddingnet.embeddingnet.state_dict()}
    beyond = {name for name in beyond if name.startswith((f"{backbone}layer4", f"{backbone}fc"))}
    assert set(unused) == {name for name in beyond if not name.endswith("num_batches_tracked")}
    kernel = network.embeddingnet.embed_fc.weight.detach().numpy().T
    np.testing.assert_array_equal(model.branch.get_layer("global_embedding").weights[0], kernel)


def test_a_converted_checkpoint_gets_its_table(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", images=120, size=48)
    network = alive(Wrapped(Csn2020(8)))
    torch.save({"epoch": 1, "state_dict": network.state_dict()}, tmp_path / "x.pth.tar")
    arguments = [str(tmp_path / "x.pth.tar"), str(tmp_path / "csn.keras"), "--method", "csn"]
    assert (
        main(["weights", *arguments, "--dataset", "Garments", "--data", str(tmp_path / "data")])
        == 0
    )
    config = paper().override(dataset="Garments", bootstrap_resamples=10)
    places = Places(tmp_path / "data", tmp_path / "results")
    table = measure(tmp_path / "csn.keras", config, places).table("map")
    assert table[table["method"] == "csn"]["map"].between(0, 100).any()
    assert set(table["method"]) == {"random", "csn"}
