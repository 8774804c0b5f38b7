"""The recipe's own tests: `python3 check.py`. Each fast thing against its plain twin, on made-up data."""

import struct
import tempfile

import numpy as np
import torch

import gguf
from data import clean, is_good
from model import BF16, Config, initial_weights, logits_f32, loss_bf16, rope_table
from optimizer import orthogonalize
from tokenizer import BYTE, CONTROL, NORMAL, SPACE, UNKNOWN, Tokenizer
from train import packed, unpacked


def loss_and_gradients_of_the_fast_path_are_those_of_the_plain_twin():
    config = Config(dim=64, hidden_dim=96, layers=2, heads=4, kv_heads=2, vocab_size=300, context=64)
    weights = initial_weights(config, 1)
    for name, w in weights.items():
        noise = torch.randn(w.shape, generator=torch.Generator().manual_seed(len(name)))
        weights[name] = (w + 0.05 * noise).to(BF16).float().requires_grad_()
    ids = torch.randint(300, (3, 48), generator=torch.Generator().manual_seed(2))
    targets = ids.roll(-1, 1)
    targets[1, 30:] = -1  # padding is not scored
    mask = torch.full((64, 64), float("-inf")).triu(1).to(BF16)
    leaves = packed({n: w.detach() for n, w in weights.items()}, config)
    fast = loss_bf16(config, leaves, ids, targets, rope_table(config), mask)
    fast.backward()
    fast_grads = unpacked({n: leaf.grad.float() for n, leaf in leaves.items()}, config)
    with torch.enable_grad():
        logp = torch.log_softmax(logits_f32.__wrapped__(config, weights, ids), -1)
        plain = -(logp.gather(2, targets.clamp_min(0)[..., None])[..., 0] * (targets >= 0)).sum()
    plain.backward()
    assert abs(float(fast) / float(plain) - 1) < 2e-3
    for name, w in weights.items():
        error = float((fast_grads[name] - w.grad).norm() / w.grad.norm())
        assert error < 0.03, f"{name}: relative error {error:.4f}"


def orthogonalize_moves_singular_values_to_about_1():
    m = torch.randn(2, 96, 64, generator=torch.Generator().manual_seed(3))
    values = torch.linalg.svdvals(orthogonalize(m).float())
    assert 0.4 < values.min() and values.max() < 1.4, values


def blocks_hold_what_the_format_says():
    x = np.linspace(-3, 2, 64, dtype=np.float32)
    x[40] = 0
    for kind, size, quantum in ((gguf.Q8_0, 34, 127), (gguf.Q4_0, 18, 8)):
        data = gguf.ENCODERS[kind](x)
        assert len(data) == 2 * size == gguf.size_of(kind, 64)
        back = gguf.decode(kind, data)
        for block in range(2):
            part = data[block * size : (block + 1) * size]
            (d,) = struct.unpack("<e", part[:2])
            for i in range(32):
                if kind == gguf.Q8_0:
                    q = struct.unpack_from("<b", part, 2 + i)[0]
                else:
                    q = (part[2 + i] & 15 if i < 16 else part[2 + i - 16] >> 4) - 8
                assert back[block * 32 + i] == np.float32(d) * np.float32(q)
            error = np.abs(back - x)[block * 32 : block * 32 + 32].max()
            assert error <= np.abs(x[block * 32 : block * 32 + 32]).max() / quantum * 1.01
    assert not gguf.decode(gguf.Q8_0, gguf.quantize_q8_0(np.zeros(32))).any()
    assert not gguf.decode(gguf.Q4_0, gguf.quantize_q4_0(np.zeros(32))).any()


def a_file_that_was_written_reads_back():
    x = np.arange(64, dtype=np.float32).reshape(2, 32)
    with tempfile.NamedTemporaryFile() as file:
        gguf.write(
            file.name,
            [("a", gguf.U32, 7), ("b", (gguf.ARRAY, gguf.STRING), ["x", "\u00e9"]), ("c", gguf.BOOL, True)],
            [("norm", gguf.F32, x[0]), ("matrix", gguf.F16, x)],
        )
        meta, tensors = gguf.read(file.name)
    assert meta == {"a": 7, "b": ["x", "\u00e9"], "c": True}
    assert (tensors["norm"] == x[0]).all() and (tensors["matrix"] == x).all()


def the_tokenizer_merges_by_score_and_falls_back_to_bytes():
    learned = [f"{SPACE}a", "ab", f"{SPACE}ab", "b", "a", SPACE]
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + learned
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * len(learned)
    t = Tokenizer(pieces, [0.0] * 259 + [-float(i) for i in range(len(learned))], types)
    assert [pieces[i] for i in t.encode("ab b\nab\u00e9")] == [
        *(f"{SPACE}ab", SPACE, "b", "<0x0A>", "ab", "<0xC3>", "<0xA9>")
    ]
    assert t.decode(t.encode("ab b\n  ab\u00e9 ")) == "ab b\n  ab\u00e9 "


def cleaning_leaves_plain_ascii():
    assert clean("\u00e2\u20ac\u0153Hi,\u00e2\u20ac said  Zo\u00eb \u2014 \u2018it\u2019s\u2019 me\u2026 \n\n\nBye. ") == (
        "\"Hi,\" said Zoe - 'it's' me...\n\nBye."
    )
    assert not is_good("Once upon a time there was a " + "very " * 30 + "big")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, test in list(globals().items()):
        if callable(test) and getattr(test, "__module__", "") == "__main__" and name.islower():
            test()
            print("ok", name.replace("_", " "))
