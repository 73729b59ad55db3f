#!/usr/bin/env python3
"""PyTorch (CPU) times for the benchmark's U-Nets; bench/run.ts starts it with --torch PYTHON.

One run measures one net and prints one JSON line, for example
  python3 bench/peers/torch_unet.py --widths 8,8,8,8,8 --mode train --dims 2 --size 256 --batch 4 --threads 2

Net: per level but the last a block (conv 3 + bias -> ReLU -> batch norm, twice) and max-pool 2, a bottleneck block,
then transposed conv 2 stride 2 -> concat(up, skip) -> block, and conv 1 to 2 classes, softmax. --dims 2 makes it of 2D
operators. A training step is forward, soft Dice, backward, Adam.
The allocator should keep its pages (MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000000 in the environment). Which
memory layout is the fastest, and for inference whether optimize_for_inference helps, depends on net and size:
bench/run.ts tries all before it measures.
"""
import argparse
import json
import os
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
CONV_TRANSPOSE = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
BATCH_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX_POOL = {2: F.max_pool2d, 3: F.max_pool3d}
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


class Block(nn.Module):
    def __init__(self, cin, c, dims):
        super().__init__()
        self.conv1, self.bn1 = CONV[dims](cin, c, 3, padding=1), BATCH_NORM[dims](c)
        self.conv2, self.bn2 = CONV[dims](c, c, 3, padding=1), BATCH_NORM[dims](c)

    def forward(self, x):
        x = self.bn1(F.relu(self.conv1(x), inplace=True))
        return self.bn2(F.relu(self.conv2(x), inplace=True))


class UNet(nn.Module):
    def __init__(self, widths, dims, classes=2):
        super().__init__()
        levels, bottom = widths[:-1], widths[-1]
        self.pool = MAX_POOL[dims]
        self.down = nn.ModuleList(Block(i, o, dims) for i, o in zip([1] + levels[:-1], levels))
        self.mid = Block(levels[-1], bottom, dims)
        up, below = levels[::-1], [bottom] + levels[:0:-1]
        self.up = nn.ModuleList(CONV_TRANSPOSE[dims](i, o, 2, stride=2) for i, o in zip(below, up))
        self.dec = nn.ModuleList(Block(2 * c, c, dims) for c in up)
        self.head = CONV[dims](levels[0], classes, 1)

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = self.pool(x, 2)
        x = self.mid(x)
        for i, (up, block) in enumerate(zip(self.up, self.dec)):
            x = block(torch.cat((up(x), skips[-1 - i]), 1))
        return torch.softmax(self.head(x), 1)


def dice_loss(p, onehot):
    """1 - mean over classes of (2 sum(p g) + eps) / (sum p + sum g + eps), sums over batch and space."""
    axes = (0, *range(2, p.dim()))
    inter, total = (p * onehot).sum(axes), (p + onehot).sum(axes)
    return 1 - ((2 * inter + 1e-5) / (total + 1e-5)).mean()


def busy_seconds():
    """CPU seconds all processes of the machine have used so far (Linux)."""
    try:
        with open("/proc/stat") as f:
            t = [int(v) for v in f.readline().split()[1:9]]
        return (sum(t) - t[3] - t[4]) / os.sysconf("SC_CLK_TCK")  # all but idle and iowait
    except OSError:
        return None


def training_step(net, x):
    net.train()
    onehot = F.one_hot((x > 0).long().squeeze(1), 2).movedim(-1, 1).float().contiguous()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step():
        optimiser.zero_grad(set_to_none=True)
        loss = dice_loss(net(x), onehot)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def inference_step(net, x, jit):
    net.eval()
    with torch.no_grad():
        net = torch.jit.freeze(torch.jit.trace(net, x))
        if jit == "ofi":
            net = torch.jit.optimize_for_inference(net)

    def step():
        with torch.no_grad():
            return float(net(x)[0, 0].flatten()[0])

    return step


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--widths", required=True, help="channels of every level, the bottleneck last, e.g. 8,8,8,8,8")
    ap.add_argument("--mode", choices=["train", "infer"], default="train")
    ap.add_argument("--dims", type=int, choices=[2, 3], default=3)
    ap.add_argument("--size", type=int, default=64)
    ap.add_argument("--batch", type=int, default=1)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--layout", choices=["plain", "last"], default="last", help="last = channels_last(_3d)")
    ap.add_argument("--jit", choices=["freeze", "ofi"], default="ofi",
                    help="infer: trace and freeze, or also optimize_for_inference")
    ap.add_argument("--warmup", type=int, default=2)
    ap.add_argument("--reps", type=int, default=7)
    a = ap.parse_args()

    x = torch.randn(a.batch, 1, *[a.size] * a.dims)
    begin = time.perf_counter()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    net = UNet([int(w) for w in a.widths.split(",")], a.dims)
    if a.layout == "last":
        net = net.to(memory_format=CHANNELS_LAST[a.dims])
        x = x.contiguous(memory_format=CHANNELS_LAST[a.dims])
    step = training_step(net, x) if a.mode == "train" else inference_step(net, x, a.jit)

    value = step()
    first = 1e3 * (time.perf_counter() - begin)
    for _ in range(a.warmup - 1):
        step()
    ms = []
    wall, busy, own = time.perf_counter(), busy_seconds(), time.process_time()
    for _ in range(a.reps):
        start = time.perf_counter()
        value = step()
        ms.append(1e3 * (time.perf_counter() - start))
    wall = time.perf_counter() - wall
    others = None
    if busy is not None and wall > 0.3:  # the machine's clock ticks 100 times a second
        others = max(0.0, (busy_seconds() - busy - (time.process_time() - own)) / wall)
    print(json.dumps({
        "ms": ms, "firstMs": first, "value": value, "otherCores": others, "version": f"torch {torch.__version__}",
        "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }), flush=True)


if __name__ == "__main__":
    main()
