"""Makes the files beside it: a tiny Llama with random weights in the form of Meta's release, in two shards, saved by PyTorch, and
its logits by a forward pass in float64 with Meta's complex rotation. Run with Python 3 and PyTorch (1.13 was used).

The weights are cut as fairscale's ColumnParallelLinear (rows), RowParallelLinear and ParallelEmbedding (columns) cut them.
"""

import json
import os

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, SHARDS = 16, 24, 2, 4, 2, 20, 2
HEAD_DIM = DIM // HEADS
EPS, THETA = 1e-5, 10000.0
IDS = [1, 5, 2, 17, 0, 3, 3, 11]

torch.manual_seed(7)


def matrix(rows, cols):
    return (torch.randn(rows, cols) / cols**0.5).to(torch.bfloat16)


weights = {"tok_embeddings.weight": torch.randn(VOCAB, DIM).to(torch.bfloat16)}
for i in range(LAYERS):
    weights[f"layers.{i}.attention.wq.weight"] = matrix(DIM, DIM)
    weights[f"layers.{i}.attention.wk.weight"] = matrix(KV_HEADS * HEAD_DIM, DIM)
    weights[f"layers.{i}.attention.wv.weight"] = matrix(KV_HEADS * HEAD_DIM, DIM)
    weights[f"layers.{i}.attention.wo.weight"] = matrix(DIM, DIM)
    weights[f"layers.{i}.feed_forward.w1.weight"] = matrix(HIDDEN, DIM)
    weights[f"layers.{i}.feed_forward.w2.weight"] = matrix(DIM, HIDDEN)
    weights[f"layers.{i}.feed_forward.w3.weight"] = matrix(HIDDEN, DIM)
    weights[f"layers.{i}.attention_norm.weight"] = (1 + 0.1 * torch.randn(DIM)).to(torch.bfloat16)
    weights[f"layers.{i}.ffn_norm.weight"] = (1 + 0.1 * torch.randn(DIM)).to(torch.bfloat16)
weights["norm.weight"] = (1 + 0.1 * torch.randn(DIM)).to(torch.bfloat16)
weights["output.weight"] = matrix(VOCAB, DIM)

frequencies = 1.0 / (THETA ** (torch.arange(0, HEAD_DIM, 2).double() / HEAD_DIM))
angles = torch.outer(torch.arange(len(IDS)).double(), frequencies)
rotation = torch.polar(torch.ones_like(angles), angles)


def rotated(x):
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation[:, None, :]).flatten(-2)


def normed(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * weight


def logits():
    w = {name: tensor.double() for name, tensor in weights.items()}
    x = w["tok_embeddings.weight"][IDS]
    n = len(IDS)
    mask = torch.full((n, n), float("-inf"), dtype=torch.float64).triu(1)
    for i in range(LAYERS):
        p = f"layers.{i}."
        h = normed(x, w[p + "attention_norm.weight"])
        q = rotated((h @ w[p + "attention.wq.weight"].T).view(n, HEADS, HEAD_DIM))
        k = rotated((h @ w[p + "attention.wk.weight"].T).view(n, KV_HEADS, HEAD_DIM))
        v = (h @ w[p + "attention.wv.weight"].T).view(n, KV_HEADS, HEAD_DIM)
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, dim=1) for t in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / HEAD_DIM**0.5 + mask
        attended = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(n, DIM)
        x = x + attended @ w[p + "attention.wo.weight"].T
        h = normed(x, w[p + "ffn_norm.weight"])
        gate = torch.nn.functional.silu(h @ w[p + "feed_forward.w1.weight"].T)
        x = x + (gate * (h @ w[p + "feed_forward.w3.weight"].T)) @ w[p + "feed_forward.w2.weight"].T
    return normed(x, w["norm.weight"]) @ w["output.weight"].T


COLUMNS = ("tok_embeddings", ".wo.", ".w2.")
for shard in range(SHARDS):
    part = {}
    for name, tensor in weights.items():
        if tensor.dim() == 2:
            along = 1 if any(piece in name for piece in COLUMNS) else 0
            tensor = tensor.chunk(SHARDS, along)[shard].clone()
        part[name] = tensor
    part["rope.freqs"] = frequencies.to(torch.bfloat16)
    torch.save(part, os.path.join(HERE, f"consolidated.{shard:02}.pth"))

params = {
    "dim": DIM,
    "multiple_of": 8,
    "n_heads": HEADS,
    "n_kv_heads": KV_HEADS,
    "n_layers": LAYERS,
    "norm_eps": EPS,
    "vocab_size": -1,
}
with open(os.path.join(HERE, "params.json"), "w") as file:
    json.dump(params, file)
with open(os.path.join(HERE, "logits.json"), "w") as file:
    rounded = [[round(x, 7) for x in row] for row in logits().tolist()]
    json.dump({"ids": IDS, "logits": rounded}, file)
    file.write("\n")
