"""Write a story with the plain twin: `python3 sample.py MODEL [PROMPT]`; temperature 0 is greedy. Slow (no cache):
for checking a checkpoint or another runtime, not for use."""

import argparse

import torch

from model import logits_f32
from perplexity import load


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("model")
    p.add_argument("prompt", nargs="?", default="")
    p.add_argument("--tokens", type=int, default=256)
    p.add_argument("--temperature", type=float, default=0.0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--ids", action="store_true", help="print the ids too")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    config, weights, tokenizer = load(args.model)
    random = torch.Generator().manual_seed(args.seed)
    ids = [tokenizer.bos] + (tokenizer.encode(args.prompt) if args.prompt else [])
    prompt = len(ids)
    while len(ids) < min(config.context, prompt + args.tokens):
        logits = logits_f32(config, weights, torch.tensor([ids]))[0, -1]
        if args.temperature:
            chances = torch.softmax(logits / args.temperature, -1)
            ids.append(int(torch.multinomial(chances, 1, generator=random)))
        else:
            ids.append(int(logits.argmax()))
        if ids[-1] in (tokenizer.eos, tokenizer.bos):
            break
    if args.ids:
        print(ids[prompt:])
    print(tokenizer.decode(ids))


if __name__ == "__main__":
    main()
