#!/bin/sh
# torch 2.13.0, CPU: the gradient of softmax has other last digits with two threads than with one (seen on 2026-12-01, Linux
# on x86-64, with AVX512 and with AVX2).
#
# Softmax over the last dimension works row by row, and its forward pass gives the same bits however rows are shared out. Its
# backward pass, row by row, too, does not: with two threads a few rows differ in the last digit, also of a tensor of 2,601
# numbers, which most operations would not share out at all. Each number of threads gives its own bits every time. With
# ATEN_CPU_CAPABILITY=default there is no difference. So gradients through attention depend on the number of threads; the products,
# norms and activations beside it do not (float32; on Intel processors with MKL_CBWR=AVX512,STRICT).
#
# Exit code 0: it is still so. 1: it has changed (good news; engine/tensors/gradients.py may need no softmax of its own).
# 2: this processor has neither AVX2 nor AVX512.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
cat > "$folder/softmax.py" <<'PYTHON'
import sys

import torch

if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
    print("neither AVX2 nor AVX512 here")
    sys.exit(2)
torch.manual_seed(0)
scores, slope = torch.randn(2, 1, 9, 17, 17).unbind()


def passes(threads: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.set_num_threads(threads)
    given = scores.clone().requires_grad_(True)
    shares = given.softmax(-1)
    return shares.detach(), torch.autograd.grad(shares, given, slope)[0]


(one, d_one), (again, d_again), (two, d_two) = passes(1), passes(1), passes(2)
rows = (d_one != d_two).flatten(0, 2).any(-1)
print(f"forward: one thread twice {torch.equal(one, again)}, one and two {torch.equal(one, two)}")
print(f"backward: one thread twice {torch.equal(d_one, d_again)}, one and two {torch.equal(d_one, d_two)}")
print(f"{int(rows.sum())} of {rows.numel()} rows differ, by {float((d_one - d_two).abs().max()):.0e} at most")
sys.exit(0 if torch.equal(one, two) and torch.equal(d_one, d_again) and bool(rows.any()) else 1)
PYTHON
"$folder/venv/bin/python" "$folder/softmax.py"
