#!/bin/sh
# The whole recipe: texts -> build/ (tokenizer, checkpoints, log) -> tiny.gguf, and its figures.
#   train.sh [folder of texts]
# Interrupt it whenever you like; run again, it goes on from the last checkpoint.
set -e
here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "${1:-$here/../../shared/data/text}" && pwd)
cd "$here"
python3 check.py
python3 train.py --data "$data" --out build
python3 tokenizer.py build/tokenizer.model build/tokenizer.txt
python3 export.py build tiny.gguf --type q8_0
python3 perplexity.py tiny.gguf "$data/tinystories/tinystories_val_0.8MB.txt"
python3 perplexity.py tiny.gguf "$data/tinystories/tinystories_val_0.8MB.txt" --clean
