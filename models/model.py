"""The Llama architecture in PyTorch, twice.

`logits_f32` is the plain twin: the paper's order in float32, the one that perplexity.py trusts.
`loss_bf16` is the fast path for training on a CPU: matrix products in bfloat16 (oneDNN; a hundred times a reference
BLAS, three times a good one), sums and the residual stream in float32, and hand-written backward passes where autograd
would walk over memory many more times.

Shape words: B rows, T positions, N = B*T, D dim, H heads, K kv heads, E head dim, F hidden dim, V vocabulary.
"""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass
class Config:
    dim: int = 256
    hidden_dim: int = 512
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    vocab_size: int = 4096
    context: int = 512
    rope_base: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self):
        return self.dim // self.heads

    @property
    def kv_dim(self):
        return self.head_dim * self.kv_heads

    def shapes(self):
        """GGUF tensor names and shapes, outermost first: a matrix is (rows = outputs, columns = inputs)."""
        d, f, kv = self.dim, self.hidden_dim, self.kv_dim
        shapes = {"token_embd.weight": (self.vocab_size, d)}
        for i in range(self.layers):
            shapes |= {
                f"blk.{i}.attn_norm.weight": (d,),
                f"blk.{i}.attn_q.weight": (d, d),
                f"blk.{i}.attn_k.weight": (kv, d),
                f"blk.{i}.attn_v.weight": (kv, d),
                f"blk.{i}.attn_output.weight": (d, d),
                f"blk.{i}.ffn_norm.weight": (d,),
                f"blk.{i}.ffn_gate.weight": (f, d),
                f"blk.{i}.ffn_up.weight": (f, d),
                f"blk.{i}.ffn_down.weight": (d, f),
            }
        return shapes | {"output_norm.weight": (d,)}


def initial_weights(config, seed):
    """Normal, sigma 0.02 for the embedding and 0.5/sqrt(inputs) elsewhere; what writes to the residual starts at 0."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in config.shapes().items():
        if len(shape) == 1:
            weights[name] = torch.ones(shape)
        elif "attn_output" in name or "ffn_down" in name:
            weights[name] = torch.zeros(shape)
        else:
            sigma = 0.02 if "embd" in name else 0.5 / shape[1] ** 0.5
            weights[name] = torch.randn(shape, generator=generator) * sigma
    return weights


def rope_table(config):
    """complex64[context, E/2]: e^(i position base^(-2j/E)). Pairs are neighbours (2j, 2j+1), as Meta and GGUF have it."""
    frequency = config.rope_base ** (-np.arange(0, config.head_dim, 2) / config.head_dim)
    return torch.from_numpy(np.exp(1j * np.outer(np.arange(config.context), frequency)).astype(np.complex64))


# ---- the plain twin ----


def rmsnorm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate(x, table):
    """x f32[B, T, heads, E], turned pairwise by its position's angles."""
    turned = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * table[: x.shape[1], None]
    return torch.view_as_real(turned).flatten(-2)


@torch.no_grad()
def logits_f32(config, weights, ids):
    """ids int64[B, T] -> logits f32[B, T, V]"""
    B, T = ids.shape
    H, K, E = config.heads, config.kv_heads, config.head_dim
    table = rope_table(config)
    future = torch.full((T, T), float("-inf")).triu(1)
    x = weights["token_embd.weight"][ids]  # [B, T, D]
    for i in range(config.layers):
        w = {name.split(".")[2]: t for name, t in weights.items() if name.startswith(f"blk.{i}.")}
        # attention: x += Wo . attend(rope(Wq . norm(x)), keys, values)
        xn = rmsnorm(x, w["attn_norm"], config.norm_eps)
        q = rotate((xn @ w["attn_q"].t()).view(B, T, H, E), table)
        k = rotate((xn @ w["attn_k"].t()).view(B, T, K, E), table)
        v = (xn @ w["attn_v"].t()).view(B, T, K, E)
        k, v = (t.repeat_interleave(H // K, 2).transpose(1, 2) for t in (k, v))  # [B, H, T, E]
        scores = q.transpose(1, 2) @ k.transpose(2, 3) / E**0.5 + future  # [B, H, T, T]
        attended = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(B, T, H * E)
        x = x + attended @ w["attn_output"].t()
        # feed-forward: x += Wdown . (silu(Wgate . norm(x)) * Wup . norm(x))
        xn = rmsnorm(x, w["ffn_norm"], config.norm_eps)
        gate = torch.nn.functional.silu(xn @ w["ffn_gate"].t())
        x = x + (gate * (xn @ w["ffn_up"].t())) @ w["ffn_down"].t()
    head = weights.get("output.weight", weights["token_embd.weight"])  # ours is tied
    return rmsnorm(x, weights["output_norm.weight"], config.norm_eps) @ head.t()


# ---- the fast path ----

BF16 = torch.bfloat16


class Norm(torch.autograd.Function):
    """RMSNorm: x f32[N, D], weight f32[D] -> bf16[N, D]"""

    @staticmethod
    def forward(ctx, x, weight, eps):
        scale = torch.rsqrt(x.norm(dim=-1, keepdim=True).square_() / x.shape[1] + eps)
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight).to(BF16)

    @staticmethod
    def backward(ctx, grad):
        x, weight, scale = ctx.saved_tensors
        grad = grad.float()
        normed = x * scale
        dweight = (grad * normed).sum(0)
        grad.mul_(weight)
        inner = (grad * normed).mean(-1, keepdim=True)
        return grad.sub_(normed.mul_(inner)).mul_(scale), dweight, None


class SwiGLU(torch.autograd.Function):
    """both bf16[N, 2F], gate then up -> silu(gate) * up, bf16[N, F]"""

    @staticmethod
    def forward(ctx, both):
        ctx.save_for_backward(both)
        gate, up = both.chunk(2, 1)
        return torch.nn.functional.silu(gate.float()).mul_(up).to(BF16)

    @staticmethod
    def backward(ctx, grad):
        (both,) = ctx.saved_tensors
        gate, up = both.chunk(2, 1)
        gate, grad = gate.float(), grad.float()
        sigmoid = torch.sigmoid(gate)
        silu = sigmoid * gate
        out = torch.empty_like(both)
        half = both.shape[1] // 2
        out[:, half:] = grad * silu
        # d silu / d gate = sigmoid + silu (1 - sigmoid) = sigmoid + silu - silu sigmoid
        out[:, :half] = sigmoid.add_(silu).sub_(silu.mul_(sigmoid - silu)).mul_(grad).mul_(up)
        return out


class Attention(torch.autograd.Function):
    """Causal attention without dropout: q bf16[B*K, R*T, E] (R query heads share a kv head; already scaled by
    1/sqrt(E)), k, v bf16[B*K, T, E], mask bf16[T, T] -> bf16[B*K, R*T, E]"""

    @staticmethod
    def forward(ctx, q, k, v, mask):
        n, rt, _ = q.shape
        T = k.shape[1]
        scores = torch.bmm(q, k.transpose(1, 2))
        scores.view(n, rt // T, T, T).add_(mask)
        p = torch.softmax(scores, -1)
        out = torch.bmm(p, v)
        ctx.save_for_backward(q, k, v, p, out)
        return out

    @staticmethod
    def backward(ctx, grad):
        q, k, v, p, out = ctx.saved_tensors
        dv = torch.bmm(p.transpose(1, 2), grad)
        ds = torch.bmm(grad, v.transpose(1, 2))
        ds.sub_((grad.float() * out).sum(-1, keepdim=True).to(BF16)).mul_(p)
        return torch.bmm(ds, k), torch.bmm(ds.transpose(1, 2), q), dv, None


class CrossEntropy(torch.autograd.Function):
    """logits bf16[N, V], targets int64[N] (negative: not scored) -> summed nats, f32[]"""

    @staticmethod
    def forward(ctx, logits, targets):
        grad, nats = torch.empty_like(logits), 0.0
        for start in range(0, len(targets), 256):  # a few rows at a time stay in the cache
            part = targets[start : start + 256]
            rows = torch.arange(len(part))
            scored = (part >= 0).float()
            part = part.clamp_min(0)
            logp = torch.log_softmax(logits[start : start + 256].float(), -1)
            nats = nats - (logp[rows, part] * scored).sum()
            p = logp.exp_()
            p[rows, part] -= 1
            grad[start : start + 256] = p.mul_(scored[:, None])
        ctx.save_for_backward(grad)
        return nats

    @staticmethod
    def backward(ctx, scale):
        return ctx.saved_tensors[0] * scale.to(BF16), None


class Dropout(torch.autograd.Function):
    """f32 x -> x with a share of its elements zeroed, the rest scaled up. Bytes from numpy: ten times bernoulli_."""

    @staticmethod
    def forward(ctx, x, share, random):
        cut = int(share * 256)
        kept = torch.frombuffer(bytearray(random.bytes(x.numel())), dtype=torch.uint8).view_as(x) >= cut
        kept = kept.to(BF16).mul_(256 / (256 - cut))
        ctx.save_for_backward(kept)
        return x * kept

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None, None


def loss_bf16(config, weights, ids, targets, table, mask, dropout=0.0, random=None):
    """Summed nats of targets int64[B, T] given ids int64[B, T].

    `weights`: matrices bf16, norms f32, with attn_q, attn_k, attn_v joined by rows into attn_qkv, and ffn_gate, ffn_up
    into ffn_both; and "embedding", token_embd in f32 for the look-up, since its gradient sums many rows. `table` is
    rope_table(), `mask` bf16[context, context], -inf above the diagonal.
    """
    B, T = ids.shape
    H, K, E = config.heads, config.kv_heads, config.head_dim
    R = H // K
    turn = table[:T, None].expand(T, H + K, E // 2).clone()
    turn[:, :H] *= E**-0.5  # attention's scale, for free
    mask = mask[:T, :T].contiguous()

    def drop(x):
        x = x.float()
        return Dropout.apply(x, dropout, random) if dropout else x

    x = drop(torch.nn.functional.embedding(ids.view(-1), weights["embedding"]))  # f32[N, D]
    for i in range(config.layers):
        xn = Norm.apply(x, weights[f"blk.{i}.attn_norm.weight"], config.norm_eps)
        qkv = xn @ weights[f"blk.{i}.attn_qkv.weight"].t()  # [N, D + 2 K E]
        qk, v = qkv.split([(H + K) * E, K * E], 1)
        qk = torch.view_as_complex(qk.float().view(B, T, H + K, E // 2, 2)) * turn
        qk = torch.view_as_real(qk).view(B, T, H + K, E).to(BF16)
        q = qk[:, :, :H].transpose(1, 2).reshape(B * K, R * T, E)
        k = qk[:, :, H:].transpose(1, 2).reshape(B * K, T, E)
        v = v.view(B, T, K, E).transpose(1, 2).reshape(B * K, T, E)
        a = Attention.apply(q, k, v, mask)
        a = a.view(B, H, T, E).transpose(1, 2).reshape(B * T, H * E)
        x = x + drop(a @ weights[f"blk.{i}.attn_output.weight"].t())
        xn = Norm.apply(x, weights[f"blk.{i}.ffn_norm.weight"], config.norm_eps)
        h = SwiGLU.apply(xn @ weights[f"blk.{i}.ffn_both.weight"].t())
        x = x + drop(h @ weights[f"blk.{i}.ffn_down.weight"].t())
    xn = Norm.apply(x, weights["output_norm.weight"], config.norm_eps)
    return CrossEntropy.apply(xn @ weights["token_embd.weight"].t(), targets.view(-1))
