"""What SentencePiece's library answers: for texts as JSON lines on standard input, JSON lines on standard output.

    python3 sentencepiece-answers.py MODEL [VOCABULARY] < texts > answers     (Debian: python3-sentencepiece)

A text is {"text": base64 of its bytes}, an answer {"ids", "offsets": begin and end of each piece in characters,
"normalized", "decoded"}. VOCABULARY is a file of pieces, a line each, to which encoding is restricted. Texts may hold anything, newlines
and NULs too, for which spm_encode's lines have no room.
"""

import base64
import json
import sys

from sentencepiece import SentencePieceProcessor

model = SentencePieceProcessor(model_file=sys.argv[1])
whole = SentencePieceProcessor(model_file=sys.argv[1])
if len(sys.argv) > 2:
    with open(sys.argv[2], encoding="utf-8", newline="\n") as file:
        model.SetVocabulary(file.read().split("\n"))


def normalized(pieces):
    """The pieces' texts make up the normalized text; byte pieces stand for their bytes."""
    return b"".join(
        bytes([int(found.piece[1:5], 16)]) if whole.is_byte(found.id) else found.piece.encode() for found in pieces
    ).decode()


for line in sys.stdin:
    text = base64.b64decode(json.loads(line)["text"])
    pieces = model.encode(text, out_type="immutable_proto").pieces
    ids = [found.id for found in pieces]
    answer = {
        "ids": ids,
        "offsets": [place for found in pieces for place in (found.begin, found.end)],
        "normalized": normalized(pieces),
        "decoded": whole.decode(ids),
    }
    print(json.dumps(answer, ensure_ascii=True))
