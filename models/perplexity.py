"""Bits per byte of a text: `python3 perplexity.py MODEL TEXT [--clean]`, MODEL a GGUF file or a build folder.

The whole text is tokenized as one, without <s> or </s>. Windows of the context length overlap by half: each is <s> and
the tokens from its start, the first scores all its tokens, every other one only its second half. Float32 logits, nats
summed in float64; the bits are divided by the text's UTF-8 bytes.
"""

import argparse
import os

import numpy as np
import torch

import gguf
from data import clean, read_text
from model import Config, logits_f32
from tokenizer import Tokenizer


def load(path, context=None):
    """-> (config, {name: f32 tensor}, tokenizer)"""
    if os.path.isdir(path):
        saved = torch.load(os.path.join(path, "checkpoint.pt"))
        config, weights = Config(**saved["config"]), saved["weights"]
        tokenizer = Tokenizer.open(os.path.join(path, "tokenizer.model"))
    else:
        meta, arrays = gguf.read(path)
        weights = {name: torch.from_numpy(a) for name, a in arrays.items()}
        tokenizer = Tokenizer(*(meta[f"tokenizer.ggml.{field}"] for field in ("tokens", "scores", "token_type")))
        config = Config(
            dim=meta["llama.embedding_length"],
            hidden_dim=meta["llama.feed_forward_length"],
            layers=meta["llama.block_count"],
            heads=meta["llama.attention.head_count"],
            kv_heads=meta["llama.attention.head_count_kv"],
            vocab_size=len(tokenizer.pieces),
            context=meta["llama.context_length"],
            rope_base=meta.get("llama.rope.freq_base", 10000.0),
            norm_eps=meta["llama.attention.layer_norm_rms_epsilon"],
        )
    if context:
        config.context = context
    return config, weights, tokenizer


def bits_per_byte(config, weights, tokenizer, text, rows_at_once=8):
    ids = tokenizer.encode(text)
    context, half = config.context, config.context // 2
    starts = range(0, max(1, len(ids) - half), half)
    nats, scored = 0.0, 0
    for at in range(0, len(starts), rows_at_once):
        some = starts[at : at + rows_at_once]
        inputs = np.zeros((len(some), context), np.int64)
        for row, s in zip(inputs, some):
            fed = ids[s : s + context - 1]
            row[: len(fed) + 1] = [tokenizer.bos, *fed]
        logits = logits_f32(config, weights, torch.from_numpy(inputs)).double()
        logp = torch.log_softmax(logits, -1).numpy()
        for row, s in zip(logp, some):
            wanted = ids[s : s + context]  # wanted[j] is predicted at position j
            first = 0 if s == 0 else half
            nats -= row[np.arange(first, len(wanted)), wanted[first:]].sum()
            scored += len(wanted) - first
    assert scored == len(ids)
    return nats / np.log(2) / len(text.encode()), nats / scored, len(ids)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("model")
    p.add_argument("text")
    p.add_argument("--clean", action="store_true", help="clean the text as the training text was")
    p.add_argument("--context", type=int, help="instead of the model's own")
    p.add_argument("--bytes", type=int, help="only so many characters from the beginning")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    config, weights, tokenizer = load(args.model, args.context)
    text = read_text(args.text)
    text = (clean(text) if args.clean else text)[: args.bytes]
    bits, nats, count = bits_per_byte(config, weights, tokenizer, text)
    print(
        f"{args.model}: {bits:.4f} bits per byte, {nats:.4f} nats per token ({count:,} tokens, "
        f"{len(text.encode()):,} bytes, context {config.context}{', cleaned' if args.clean else ''})"
    )


if __name__ == "__main__":
    main()
