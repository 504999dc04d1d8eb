"""The released networks stated once more in PyTorch, from their formulas, for comparison.

Names of modules are those of the authors' checkpoints, so that `state_dict` makes such a file.
"""

from __future__ import annotations

import math

import torch
from torch import nn

BLOCKS = (3, 4, 6)  # of the three stages, in ResNet-34 and ResNet-50 alike


class Residual(nn.Module):
    """A basic block (two 3x3) or a bottleneck (1x1, 3x3, 1x1)."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int) -> None:
        super().__init__()
        deep = outputs == 4 * width
        shapes = [(inputs, width, 3, stride), (width, outputs, 3, 1)]
        if deep:
            shapes = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        self.count = len(shapes)
        for i, (a, b, kernel, step) in enumerate(shapes, start=1):
            convolution = nn.Conv2d(a, b, kernel, step, padding=kernel // 2, bias=False)
            self.add_module(f"conv{i}", convolution)
            self.add_module(f"bn{i}", nn.BatchNorm2d(b))
        if stride != 1 or inputs != outputs:
            short = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(short, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = torch.relu(y) if i < self.count else y
        return torch.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet(nn.Module):
    """ResNet-34 or ResNet-50, as torchvision lays it out; images pass its first three stages.

    Of the parts beyond the third stage, a checkpoint may hold the classifier ("fc") or both.
    """

    def __init__(self, name: str, beyond: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs, growth = 64, 4 if name == "resnet50" else 1
        for stage, count in enumerate(BLOCKS, start=1):
            width, blocks = 32 * 2**stage, []
            for index in range(count):
                stride = 2 if stage > 1 and index == 0 else 1
                blocks.append(Residual(inputs, width, growth * width, stride))
                inputs = growth * width
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.channels = inputs
        if "layer4" in beyond:
            last = [
                Residual(inputs if at == 0 else growth * 512, 512, growth * 512, 1 + (at == 0))
                for at in range(3)
            ]
            self.layer4 = nn.Sequential(*last)
        if "fc" in beyond:
            self.fc = nn.Linear(growth * 512, 1000)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        return self.layer3(self.layer2(self.layer1(x)))


class Head(nn.Module):
    """Attention and projection of ASEN++, on a map (B, C, h, w) and attributes (B, E)."""

    def __init__(self, channels: int, units: int, attribute: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, units, 1)
        self.attr_transform1 = nn.Linear(attribute, units)
        self.attr_transform2 = nn.Linear(attribute, attribute)
        self.fc1 = nn.Linear(channels + attribute, channels // 2)
        self.fc2 = nn.Linear(channels // 2, channels)
        self.feature_fc = nn.Linear(channels, outputs)

    def forward(self, x, a):
        key, query = torch.tanh(self.conv(x)), torch.tanh(self.attr_transform1(a))
        scores = torch.einsum("bdhw,bd->bhw", key, query) / math.sqrt(key.shape[1])
        shares = scores.flatten(1).softmax(1).reshape(scores.shape)
        v = torch.einsum("bhw,bchw->bc", shares, x)
        r = torch.relu(self.attr_transform2(a))
        gates = torch.sigmoid(self.fc2(torch.relu(self.fc1(torch.cat([v, r], 1)))))
        return self.feature_fc(v * gates), shares


class Table(nn.Module):
    def __init__(self, count: int, units: int) -> None:
        super().__init__()
        self.attr_embedding = nn.Embedding(count, units)


class AsenPP(nn.Module):
    """ASEN++ without its region of interest."""

    def __init__(self, count: int, *, units: tuple[int, int], attribute: int, out: int) -> None:
        super().__init__()
        table = Table(count, attribute)
        self.choices = nn.ModuleDict()
        names = {"global": "resnet50", "local": "resnet34"}
        for (part, name), width in zip(names.items(), units, strict=True):
            network = ResNet(name)
            head = Head(network.channels, width, attribute, out)
            parts = {"attrnet": table, "basenet": network, "attnnet": head}
            self.choices[part] = nn.ModuleDict(parts)

    def forward(self, part, x, attribute):
        parts = self.choices[part]
        a = parts["attrnet"].attr_embedding(attribute)
        return parts["attnnet"](parts["basenet"](x), a)


class Asen2020(nn.Module):
    """ASEN as first published."""

    def __init__(self, count: int, beyond: tuple[str, ...] = ("fc",)) -> None:
        super().__init__()
        self.backbonenet = ResNet("resnet50", beyond)
        self.mask_fc1 = nn.Linear(count, 512, bias=False)
        self.mask_fc2 = nn.Linear(count, 1024, bias=False)
        self.fc1, self.fc2 = nn.Linear(2048, 512), nn.Linear(512, 1024)
        self.feature_fc = nn.Linear(1024, 1024)
        self.conv1, self.conv2 = nn.Conv2d(1024, 512, 1), nn.Conv2d(512, 1, 1)
        self.count = count

    def forward(self, x, attribute):
        x = self.backbonenet(x)
        one_hot = nn.functional.one_hot(attribute, self.count).float()
        query = torch.tanh(self.mask_fc1(one_hot))[:, :, None, None]
        scores = torch.tanh(self.conv2(torch.tanh(self.conv1(x)) * query))[:, 0]
        shares = scores.flatten(1).softmax(1).reshape(scores.shape)
        v = torch.einsum("bhw,bchw->bc", shares, x)
        r = torch.relu(self.mask_fc2(one_hot))
        gates = torch.sigmoid(self.fc2(torch.relu(self.fc1(torch.cat([v, r], 1)))))
        return nn.functional.normalize(self.feature_fc(v * gates)), shares


class AsenV22020(nn.Module):
    """The faster form of ASEN."""

    def __init__(self, count: int, beyond: tuple[str, ...] = ("fc",)) -> None:
        super().__init__()
        self.backbonenet = ResNet("resnet50", beyond)
        self.attr_embedding = nn.Embedding(count, 512)
        self.attr_transform1, self.attr_transform2 = nn.Linear(512, 512), nn.Linear(512, 512)
        self.conv1, self.img_bn1 = nn.Conv2d(1024, 512, 1), nn.BatchNorm2d(512)
        self.fc1, self.fc2 = nn.Linear(1536, 512), nn.Linear(512, 1024)

    def forward(self, x, attribute):
        x, a = self.backbonenet(x), self.attr_embedding(attribute)
        key = torch.tanh(self.img_bn1(self.conv1(x)))
        query = torch.tanh(self.attr_transform1(a))
        scores = torch.einsum("bdhw,bd->bhw", key, query) / math.sqrt(512)
        shares = scores.flatten(1).softmax(1).reshape(scores.shape)
        v = torch.einsum("bhw,bchw->bc", shares, x)
        r = torch.relu(self.attr_transform2(a))
        gates = torch.sigmoid(self.fc2(torch.relu(self.fc1(torch.cat([v, r], 1)))))
        return nn.functional.normalize(v * gates), shares


class Csn2020(nn.Module):
    """CSN with learned masks."""

    def __init__(self, count: int, beyond: tuple[str, ...] = ("fc",)) -> None:
        super().__init__()
        self.embeddingnet = ResNet("resnet50", beyond)
        self.embed_fc, self.masks = nn.Linear(1024, 1024), nn.Embedding(count, 1024)
        nn.init.normal_(self.masks.weight, 0.9, 0.7)

    def forward(self, x, attribute):
        common = self.embed_fc(self.embeddingnet(x).mean((2, 3)))
        return nn.functional.normalize(common * torch.relu(self.masks(attribute))), None


class Wrapped(nn.Module):
    """What the 2020 release saves: the network inside a triplet network."""

    def __init__(self, embeddingnet: nn.Module) -> None:
        super().__init__()
        self.embeddingnet = embeddingnet
