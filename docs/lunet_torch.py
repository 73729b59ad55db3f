"""A lunet model in PyTorch: copy this file. Needs torch and safetensors.

model, header = load("runs/lean8/model.safetensors")
logits = model(x)  # x: [N, C, D, H, W] (2D nets: D = 1), prepared as header["plan"] says; sides that the pools divide

Names and shapes of the parameters are those in the file, so that a model trained here goes back with save() and `lunet import`.
"""

import json

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F


class Unit(nn.Conv3d):
    """Convolution, activation, norm, in the net's order."""

    def __init__(self, cin, cout, kernel, unit):
        super().__init__(cin, cout, kernel, padding=[k // 2 for k in kernel])
        self.unit = unit
        if unit["norm"] == "batch":
            self.norm = nn.BatchNorm3d(cout, eps=unit["eps"], momentum=unit["momentum"])
        elif unit["norm"] == "instance":
            self.norm = nn.InstanceNorm3d(cout, eps=unit["eps"], affine=True)
        else:
            self.norm = nn.Identity()

    def forward(self, x):
        x = super().forward(x)
        if self.unit["order"] == "conv-norm-act":
            return F.leaky_relu(self.norm(x), self.unit["slope"])
        return self.norm(F.leaky_relu(x, self.unit["slope"]))


def block(cin, widths, kernel, unit):
    units = [Unit(a, b, kernel, unit) for a, b in zip([cin, *widths], widths)]
    return nn.ModuleDict({str(i): u for i, u in enumerate(units)})


def run(units, x):
    for name in sorted((name for name in units if name != "up"), key=int):
        x = units[name](x)
    return x


class Net(nn.Module):
    """The net of a model file, `net` as in its header."""

    def __init__(self, net):
        super().__init__()
        self.net, kernels, unit = net, net["kernels"], net["unit"]
        cin, self.encoder = net["inputChannels"], nn.ModuleList()
        for widths, kernel in zip(net["encoder"], kernels):
            self.encoder.append(block(cin, widths, kernel, unit))
            cin = widths[-1]
        self.bottleneck = block(cin, net["bottleneck"], kernels[-1], unit)
        cin, self.decoder = net["bottleneck"][-1], nn.ModuleDict()
        for i, level in reversed(list(enumerate(net["decoder"]))):  # from the coarsest to the finest
            up = nn.ConvTranspose3d(cin, level["up"], net["pools"][i], stride=net["pools"][i])
            skip = net["encoder"][i][-1] if net["skips"][i] else 0
            units = block(level["up"] + skip, level["convs"], kernels[i], unit)
            self.decoder[str(i)] = nn.ModuleDict({"up": up, **units})
            cin = level["convs"][-1]
        self.head = nn.Conv3d(cin, net["outputChannels"], 1)

    def forward(self, x):
        skips = []
        for units, pool in zip(self.encoder, self.net["pools"]):
            skips.append(run(units, x))
            x = F.max_pool3d(skips[-1], pool)
        x = run(self.bottleneck, x)
        for i, units in self.decoder.items():
            x, skip = units["up"](x), skips.pop()
            if self.net["skips"][int(i)]:
                x = torch.cat([x, skip], 1)
            x = run(units, x)
        return self.head(x)


def load(path):
    """The net with its weights, in evaluation mode, and the file's header: net, plan (how scans are prepared), provenance."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["lunet"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    model = Net(header["net"])
    wrong = model.load_state_dict(tensors, strict=False)
    missing = [name for name in wrong.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or wrong.unexpected_keys:
        raise ValueError(f"{path} does not fit its net: {missing} {wrong.unexpected_keys}")
    return model.eval(), header


def save(model, path):
    """Weights for `lunet import`."""
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, path)
