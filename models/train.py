"""Train the tiny model: `python3 train.py`. See README.md; everything it writes goes to --out.

Stops and goes on: run it again with the same --out and it continues from the last checkpoint, also with another
--steps (the rate is constant between warm-up and the last part, the decay, so a run can be made longer or shorter
while it is under way).
"""

import argparse
import dataclasses
import json
import os
import platform
import signal
import sys
import time

# glibc gives large blocks back to the system and faults them in again at the next operation, which made training
# several times slower. These settings (keep the memory, in huge pages) are read when the process starts, so it starts
# itself again with them. Elsewhere than on Linux with glibc they do nothing; jemalloc does better still (README.md).
PROCESS = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:"
    f"glibc.malloc.trim_threshold={16 << 30}:glibc.malloc.top_pad={256 << 20}"
}
if __name__ == "__main__" and any(os.environ.get(name) != value for name, value in PROCESS.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **PROCESS})

import numpy as np
import torch

from data import IGNORE, VALIDATION, Batches, clean, load_stories, read_text
from model import BF16, Config, initial_weights, loss_bf16, rope_table
from optimizer import Optimizer
from tokenizer import Tokenizer, train_tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--data", default=os.path.join(HERE, "..", "..", "shared", "data", "text"), help="folder of texts")
    p.add_argument("--out", default=os.path.join(HERE, "build"), help="checkpoints, tokenizer, log")
    for field in dataclasses.fields(Config):
        p.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    p.add_argument("--steps", type=int, default=5600)
    p.add_argument("--minutes", type=float, default=0, help="a short comparison: schedule by CPU time instead of steps")
    p.add_argument("--batch", type=int, default=4096, help="tokens in a step")
    p.add_argument("--microbatch", type=int, default=2048, help="tokens at a time")
    p.add_argument("--warmup", type=int, default=40, help="steps")
    p.add_argument("--decay", type=float, default=0.51, help="share of the run in which the rate falls to 0")
    p.add_argument("--lr-matrix", type=float, default=0.03)
    p.add_argument("--lr-other", type=float, default=0.008)
    p.add_argument("--weight-decay", type=float, default=0.1)
    p.add_argument("--dropout", type=float, default=0.0)
    p.add_argument("--window-every", type=int, default=6)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--validate-every", type=int, default=100, help="steps")
    p.add_argument("--validation-bytes", type=int, default=100_000, help="of the cleaned validation text, while training")
    return p.parse_args()


def packed(weights, config):
    """The leaves that loss_bf16 differentiates, from the f32 weights."""
    leaves = {"embedding": weights["token_embd.weight"].detach()}
    leaves["token_embd.weight"] = weights["token_embd.weight"].to(BF16)
    for i in range(config.layers):
        at = lambda part: weights[f"blk.{i}.{part}.weight"]
        leaves[f"blk.{i}.attn_qkv.weight"] = torch.cat([at("attn_q"), at("attn_k"), at("attn_v")]).to(BF16)
        leaves[f"blk.{i}.ffn_both.weight"] = torch.cat([at("ffn_gate"), at("ffn_up")]).to(BF16)
        for part in ("attn_output", "ffn_down"):
            leaves[f"blk.{i}.{part}.weight"] = at(part).to(BF16)
        for part in ("attn_norm", "ffn_norm"):
            leaves[f"blk.{i}.{part}.weight"] = at(part).detach()
    leaves["output_norm.weight"] = weights["output_norm.weight"].detach()
    return {name: leaf.requires_grad_() for name, leaf in leaves.items()}


def unpacked(sums, config):
    """Gradients by leaf -> gradients by weight."""
    grads = dict(sums)
    grads["token_embd.weight"] = grads["token_embd.weight"] + grads.pop("embedding")
    for i in range(config.layers):
        sizes = [config.dim, config.kv_dim, config.kv_dim]
        parts = grads.pop(f"blk.{i}.attn_qkv.weight").split(sizes) + grads.pop(f"blk.{i}.ffn_both.weight").chunk(2)
        for part, grad in zip(("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"), parts):
            grads[f"blk.{i}.{part}.weight"] = grad
    return grads


@torch.no_grad()
def quick_validation(config, weights, table, mask, tokenizer, ids, size):
    """Bits per byte over windows of the context length, stride half, in the fast path's precision."""
    leaves = packed(weights, config)
    half, nats = config.context // 2, 0.0
    starts = list(range(0, max(1, len(ids) - half), half))
    for at in range(0, len(starts), 8):
        rows = [[tokenizer.bos] + ids[s : s + config.context] for s in starts[at : at + 8]]
        inputs = np.zeros((len(rows), config.context), np.int64)
        targets = np.full((len(rows), config.context), IGNORE, np.int64)
        for i, row in enumerate(rows):
            inputs[i, : len(row) - 1] = row[:-1]
            skip = 0 if at + i == 0 else half
            targets[i, skip : len(row) - 1] = row[1 + skip :]
        nats += float(loss_bf16(config, leaves, torch.from_numpy(inputs), torch.from_numpy(targets), table, mask))
    return nats / np.log(2) / size


def main():
    args = arguments()
    config = Config(**{f.name: getattr(args, f.name) for f in dataclasses.fields(Config)})
    assert config.dim % 32 == config.hidden_dim % 32 == config.kv_dim % 32 == config.head_dim % 2 == 0
    torch.set_num_threads(args.threads)
    os.makedirs(args.out, exist_ok=True)
    log = open(os.path.join(args.out, "train.log"), "a")

    def say(text):
        print(text, flush=True)
        print(text, file=log, flush=True)

    say(f"python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}")
    say(json.dumps(vars(args)))
    stories = load_stories(args.data)
    prefix = os.path.join(args.out, "tokenizer")
    if not os.path.exists(prefix + ".model"):
        with open(prefix + ".txt", "w") as file:
            file.write("\n".join("\n".join(s.split("\n\n")) for s in stories) + "\n")
        train_tokenizer(prefix + ".txt", prefix, config.vocab_size)
    tokenizer = Tokenizer.open(prefix + ".model")
    assert len(tokenizer.pieces) == config.vocab_size
    held_out = clean(read_text(os.path.join(args.data, "tinystories", VALIDATION)))[: args.validation_bytes]
    held_out_ids = tokenizer.encode(held_out)

    weights = initial_weights(config, args.seed)
    optimizer = Optimizer(weights, args.lr_matrix, args.lr_other, args.weight_decay)
    batches = Batches(tokenizer, stories, config.context, args.microbatch, args.seed, args.window_every)
    random = np.random.Generator(np.random.SFC64(args.seed))
    step, seconds, seen = 0, 0.0, 0
    checkpoint = os.path.join(args.out, "checkpoint.pt")
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint)
        assert saved["config"] == dataclasses.asdict(config), "the checkpoint has another shape"
        for name, w in saved["weights"].items():
            weights[name].copy_(w)
        optimizer.state = saved["optimizer"]
        step, seconds, seen = saved["step"], saved["seconds"], saved["seen"]
        batches.__dict__.update(saved["batches"])
        random.bit_generator.state = saved["random"]
        say(f"continuing from step {step}")

    def save():
        torch.save(
            {
                "config": dataclasses.asdict(config),
                "weights": weights,
                "optimizer": optimizer.state,
                "step": step,
                "seconds": seconds,
                "seen": seen,
                "batches": {n: getattr(batches, n) for n in ("random", "epochs", "produced", "queue")},
                "random": random.bit_generator.state,
                "arguments": vars(args),
            },
            checkpoint + ".part",
        )
        os.replace(checkpoint + ".part", checkpoint)

    table = rope_table(config)
    mask = torch.full((config.context, config.context), float("-inf")).triu(1).to(BF16)
    n_weights = sum(w.numel() for w in weights.values())
    say(f"{n_weights:,} weights, {len(batches.stream):,} tokens in the training text")
    bits = (1 / np.log(2)) * len(batches.stream) / sum(map(len, stories))  # nats a token -> bits a byte, nearly
    recent_nats = recent_count = 0.0
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):  # finish the step, save, leave
        signal.signal(number, lambda *_: stop.append(True))
    while not stop:
        progress = seconds / 60 / args.minutes if args.minutes else step / args.steps
        if progress >= 1:
            break
        began = time.process_time()
        leaves = packed(weights, config)
        sums, count, nats = {}, 0, 0.0
        for _ in range(max(1, args.batch // args.microbatch)):
            inputs, targets = batches.next()
            loss = loss_bf16(
                config, leaves, torch.from_numpy(inputs), torch.from_numpy(targets), table, mask, args.dropout, random
            )
            loss.backward()
            nats += float(loss.detach())
            count += int((targets >= 0).sum())
            for name, leaf in leaves.items():
                sums[name] = sums[name].add_(leaf.grad) if name in sums else leaf.grad.float()
                leaf.grad = None
        for grad in sums.values():
            grad.div_(count)
        share = min(1.0, (step + 1) / args.warmup, (1 - progress) / args.decay if args.decay else 1.0)
        optimizer.step(unpacked(sums, config), share)
        step += 1
        seen += count
        recent_nats += nats
        recent_count += count
        seconds += time.process_time() - began
        if step % args.validate_every == 0 and not stop:
            value = quick_validation(config, weights, table, mask, tokenizer, held_out_ids, len(held_out))
            say(
                f"step {step}  epochs {batches.epochs:.2f}  tokens {seen:,}  {seconds / 60:.1f} min  "
                f"{seen / seconds:.0f} tokens/s  rate {share:.3f}  train {recent_nats / recent_count:.4f} nats/token "
                f"~{bits * recent_nats / recent_count:.4f} bits/byte  validation {value:.4f} bits/byte"
            )
            recent_nats = recent_count = 0.0
            save()
    save()
    if stop:
        say(f"stopped at step {step}")
        return
    value = quick_validation(config, weights, table, mask, tokenizer, held_out_ids, len(held_out))
    say(
        f"end: step {step}, epochs {batches.epochs:.2f}, {seconds / 60:.1f} min, {seen / max(seconds, 1e-9):.0f} tokens/s, "
        f"validation {value:.4f} bits/byte"
    )


if __name__ == "__main__":
    main()
