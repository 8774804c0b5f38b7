"""SentencePiece BPE: train with spm_train, read the .model file, encode and decode.

The encoder here exists because spm_encode reads line by line, while a story (and the validation text) is one text with
line breaks inside. For one line it gives what spm_encode gives; `python3 tokenizer.py MODEL FILE` compares the two.

Pieces follow Llama 2: <unk> 0, <s> 1, </s> 2, then 256 byte pieces, then learned pieces; no normalization, a space
before the text ("dummy prefix"), spaces written as U+2581.
"""

import heapq
import re
import struct
import subprocess
import sys

SPACE = "\u2581"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def train_tokenizer(text_file, prefix, vocab_size):
    """Run spm_train on a file with a paragraph per line; writes <prefix>.model and <prefix>.vocab."""
    subprocess.run(
        [
            "spm_train",
            f"--input={text_file}",
            f"--model_prefix={prefix}",
            f"--vocab_size={vocab_size}",
            "--model_type=bpe",
            "--byte_fallback=true",
            "--character_coverage=1.0",
            "--normalization_rule_name=identity",
            "--remove_extra_whitespaces=false",
            "--add_dummy_prefix=true",
            "--split_digits=true",
            "--unk_id=0",
            "--bos_id=1",
            "--eos_id=2",
            "--pad_id=-1",
            "--num_threads=1",
            "--max_sentence_length=65536",
            "--minloglevel=1",
        ],
        check=True,
    )


def protobuf_fields(data):
    """Yield (field number, value) of one protobuf message: int for varints, bytes for everything else."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        field, wire = key >> 3, key & 7
        if wire == 0:
            yield field, varint()
        else:
            size = varint() if wire == 2 else {1: 8, 5: 4}[wire]
            yield field, data[at : at + size]
            at += size


class Tokenizer:
    """A BPE vocabulary: `pieces`, `scores`, `types`, each by id."""

    def __init__(self, pieces, scores, types):
        self.pieces, self.scores, self.types = pieces, scores, types
        self.ids = {piece: i for i, piece in enumerate(pieces) if types[i] == NORMAL}
        self.byte_ids = {int(p[3:5], 16): i for i, p in enumerate(pieces) if types[i] == BYTE}
        self.unknown = types.index(UNKNOWN)
        self.bos = pieces.index("<s>")
        self.eos = pieces.index("</s>")
        self.cache = {}
        # Merging chunk by chunk equals merging the whole text only if no piece spans two chunks.
        for piece in self.ids:
            assert len(self.chunks(piece)) == 1, f"piece {piece!r} would span two chunks"

    @staticmethod
    def open(path):
        """Read a SentencePiece ModelProto (field 1: pieces; in each 1: text, 2: score, 3: type)."""
        with open(path, "rb") as file:
            data = file.read()
        pieces, scores, types = [], [], []
        for field, value in protobuf_fields(data):
            if field == 1:
                entry = dict(protobuf_fields(value))
                pieces.append(entry[1].decode())
                scores.append(struct.unpack("<f", entry[2])[0] if 2 in entry else 0.0)
                types.append(entry.get(3, NORMAL))
        return Tokenizer(pieces, scores, types)

    @staticmethod
    def chunks(text):
        """Cut before each run of spaces and around each line break; joined, the chunks are the text."""
        return re.findall(rf"\n|{SPACE}+[^{SPACE}\n]*|[^{SPACE}\n]+", text)

    def encode(self, text):
        """text -> ids, without <s> or </s>."""
        ids = []
        for chunk in self.chunks(SPACE + text.replace(" ", SPACE)):
            if chunk not in self.cache:
                self.cache[chunk] = self._merge(chunk)
            ids += self.cache[chunk]
        return ids

    def _merge(self, chunk):
        """Merge the best-scored neighbouring pair (the leftmost of equals) until no pair is a piece."""
        parts = list(chunk)
        following = list(range(1, len(parts))) + [-1]
        before = [-1] + list(range(len(parts) - 1))
        queue = []

        def offer(left):
            right = following[left]
            if right >= 0:
                pair = parts[left] + parts[right]
                if pair in self.ids:
                    heapq.heappush(queue, (-self.scores[self.ids[pair]], left, right, pair))

        for i in range(len(parts)):
            offer(i)
        while queue:
            _, left, right, pair = heapq.heappop(queue)
            if parts[left] is None or parts[right] is None or parts[left] + parts[right] != pair:
                continue  # one of the two has been merged since
            parts[left], parts[right] = pair, None
            following[left] = following[right]
            if following[right] >= 0:
                before[following[right]] = left
            offer(left)
            if before[left] >= 0:
                offer(before[left])
        ids = []
        for part in parts:
            if part in self.ids:
                ids.append(self.ids[part])
            elif part is not None:
                ids += [self.byte_ids.get(byte, self.unknown) for byte in part.encode()]
        return ids

    def decode(self, ids):
        """ids -> text; control pieces give nothing, the dummy prefix is dropped."""
        out = b""
        for i in ids:
            if self.types[i] == BYTE:
                out += bytes([int(self.pieces[i][3:5], 16)])
            elif self.types[i] == NORMAL:
                out += self.pieces[i].replace(SPACE, " ").encode()
        text = out.decode("utf-8", errors="replace")
        return text[1:] if text.startswith(" ") else text


if __name__ == "__main__":
    model, path = sys.argv[1:3]
    tokenizer = Tokenizer.open(model)
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file.read().split("\n") if line]
    answer = subprocess.run(
        ["spm_encode", f"--model={model}", "--output_format=id"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    wrong = sum(tokenizer.encode(line) != [int(i) for i in ids.split()] for line, ids in zip(lines, answer))
    assert len(lines) == len(answer)
    print(f"{len(lines)} lines, {wrong} encoded differently from spm_encode")
    sys.exit(wrong > 0)
