"""checkpoint.pt and tokenizer.model -> GGUF: `python3 export.py BUILD_FOLDER OUT.gguf [--type q8_0]`.

Norms stay F32, matrices take --type. The embedding is tied: token_embd.weight serves as output, there is no
output.weight. Q and K rows are in interleaved order, as they were trained: GGUF's llama order, nothing to permute.
"""

import argparse
import hashlib
import os

import torch

import gguf
from model import Config
from tokenizer import Tokenizer

# name: (ggml type, general.file_type)
TYPES = {"f32": (gguf.F32, 0), "f16": (gguf.F16, 1), "q4_0": (gguf.Q4_0, 2), "q8_0": (gguf.Q8_0, 7)}


def metadata(config, tokenizer, file_type, n_weights):
    u32, i32, f32, text, flag = gguf.U32, gguf.I32, gguf.FLOAT32, gguf.STRING, gguf.BOOL
    return [
        ("general.architecture", text, "llama"),
        ("general.type", text, "model"),
        ("general.name", text, "cria tiny"),
        ("general.author", text, "The cria authors"),
        ("general.size_label", text, f"{n_weights / 1e6:.1f}M"),
        ("general.license", text, "MIT"),
        ("general.description", text, "Writes short stories for small children; trained from scratch on TinyStories."),
        ("general.languages", (gguf.ARRAY, text), ["en"]),
        ("general.file_type", u32, file_type),
        ("general.quantization_version", u32, 2),
        ("llama.context_length", u32, config.context),
        ("llama.embedding_length", u32, config.dim),
        ("llama.block_count", u32, config.layers),
        ("llama.feed_forward_length", u32, config.hidden_dim),
        ("llama.attention.head_count", u32, config.heads),
        ("llama.attention.head_count_kv", u32, config.kv_heads),
        ("llama.attention.layer_norm_rms_epsilon", f32, config.norm_eps),
        ("llama.rope.dimension_count", u32, config.head_dim),
        ("llama.rope.freq_base", f32, config.rope_base),
        ("llama.vocab_size", u32, config.vocab_size),
        ("tokenizer.ggml.model", text, "llama"),
        ("tokenizer.ggml.tokens", (gguf.ARRAY, text), tokenizer.pieces),
        ("tokenizer.ggml.scores", (gguf.ARRAY, f32), tokenizer.scores),
        ("tokenizer.ggml.token_type", (gguf.ARRAY, i32), tokenizer.types),
        ("tokenizer.ggml.bos_token_id", u32, tokenizer.bos),
        ("tokenizer.ggml.eos_token_id", u32, tokenizer.eos),
        ("tokenizer.ggml.unknown_token_id", u32, tokenizer.unknown),
        ("tokenizer.ggml.add_bos_token", flag, True),
        ("tokenizer.ggml.add_eos_token", flag, False),
        ("tokenizer.ggml.add_space_prefix", flag, True),
    ]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("build")
    p.add_argument("out")
    p.add_argument("--type", choices=TYPES, default="q8_0")
    p.add_argument("--embedding-type", choices=TYPES, help="for token_embd.weight alone")
    args = p.parse_args()
    saved = torch.load(os.path.join(args.build, "checkpoint.pt"))
    config = Config(**saved["config"])
    tokenizer = Tokenizer.open(os.path.join(args.build, "tokenizer.model"))
    kind, file_type = TYPES[args.type]
    embedding_kind = TYPES[args.embedding_type or args.type][0]
    tensors = []
    for name, shape in config.shapes().items():
        array = saved["weights"][name].numpy()
        assert array.shape == shape, f"{name}: expected {shape}, found {array.shape}"
        matrix_kind = embedding_kind if name == "token_embd.weight" else kind
        tensors.append((name, gguf.F32 if array.ndim == 1 else matrix_kind, array))
    n_weights = sum(array.size for _, _, array in tensors)
    gguf.write(args.out, metadata(config, tokenizer, file_type, n_weights), tensors)
    with open(args.out, "rb") as file:
        data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    with open(args.out + ".sha256", "w") as file:
        file.write(f"{digest}  {os.path.basename(args.out)}\n")
    print(f"{args.out}: step {saved['step']}, {n_weights:,} weights, {len(data):,} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
