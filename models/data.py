"""The text: read TinyStories, clean it, drop what is broken or doubled, and cut it into training batches."""

import glob
import os
import re
import unicodedata

import numpy as np

VALIDATION = "tinystories_val_0.8MB.txt"
IGNORE = -1  # target of a padded position: not scored

# UTF-8 read as Windows-1252 somewhere upstream ("mojibake"), then typographic characters, then ASCII.
REPLACEMENTS = [
    ("\u00e2\u20ac\u0153", '"'),  # left double quote
    ("\u00e2\u20ac\u009d", '"'),  # right double quote
    ("\u00e2\u20ac\u2122", "'"),
    ("\u00e2\u20ac\u02dc", "'"),
    ("\u00e2\u20ac\u00a6", "..."),
    ("\u00e2\u20ac\u201c", " - "),  # en dash
    ("\u00e2\u20ac\u201d", " - "),  # em dash
    ("\u00e2\u20ac", '"'),  # right double quote whose third byte was lost
    ("\u201c", '"'),
    ("\u201d", '"'),
    ("\u00ab", '"'),
    ("\u00bb", '"'),
    ("\u2018", "'"),
    ("\u2019", "'"),
    ("\u2013", " - "),
    ("\u2014", " - "),
    ("\u2026", "..."),
    ("\u00a1", ""),
    ("\u00a0", " "),
]


def clean(text):
    """Plain ASCII quotes and dashes, no accents, single spaces, paragraphs separated by one blank line."""
    for old, new in REPLACEMENTS:
        text = text.replace(old, new)
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    paragraphs = (re.sub(r"\s+", " ", line).strip() for line in text.split("\n"))
    return "\n\n".join(p for p in paragraphs if p)


def fingerprint(text):
    """Letters and digits only, in lower case: equal for stories that differ in punctuation."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def is_good(story):
    """Plain ASCII, long enough to be a story, and not cut off before its last sentence ends."""
    return story.isascii() and len(story) >= 100 and re.search(r"[.!?]['\"]?$", story) is not None


def read_text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def load_stories(folder):
    """All training stories of <folder>/tinystories, cleaned; no doubles, none that the validation text contains."""
    validation = fingerprint(clean(read_text(os.path.join(folder, "tinystories", VALIDATION))))
    stories, seen = [], set()
    counts = {"read": 0, "broken": 0, "double": 0, "in validation": 0}
    for path in sorted(glob.glob(os.path.join(folder, "tinystories", "*.txt"))):
        if os.path.basename(path) == VALIDATION:
            continue
        for raw in read_text(path).split("<|endoftext|>"):
            story = clean(raw)
            if not story:
                continue
            counts["read"] += 1
            key = fingerprint(story)
            probes = [key[i : i + 80] for i in (0, len(key) // 2 - 40, len(key) - 80)]
            if not is_good(story):
                counts["broken"] += 1
            elif key in seen:
                counts["double"] += 1
            elif any(probe in validation for probe in probes):
                counts["in validation"] += 1
            else:
                seen.add(key)
                stories.append(story)
    print(f"stories: {len(stories)} kept, {counts}, {sum(map(len, stories)):,} bytes")
    return stories


class Batches:
    """An endless, seeded stream of batches (inputs, targets), each int64[rows, length] of about `tokens` positions.

    Most batches hold whole stories, <s> story </s>, one per row, rows of similar length together, so that little is
    padding and a story's context is that story alone. One in `window_every` holds windows of the context length from
    all stories run together, starting anywhere: they teach positions that few stories reach, and text that starts in
    the middle of a story.
    """

    def __init__(self, tokenizer, stories, context, tokens, seed, window_every=6):
        self.context, self.tokens, self.window_every = context, tokens, window_every
        self.random = np.random.default_rng(seed)
        self.bos = tokenizer.bos
        self.rows = [
            np.array(([tokenizer.bos] + tokenizer.encode(s) + [tokenizer.eos])[: context + 1]) for s in stories
        ]
        self.stream = np.array(tokenizer.encode("\n\n".join(stories)))
        self.epochs = 0.0  # passes over the stories so far, windows not counted
        self.produced = 0
        self.queue = []

    def _fill(self):
        """Cut one pass over the stories into batches."""
        order = self.random.permutation(len(self.rows))
        for start in range(0, len(order), 1024):  # sorting only within a part keeps batches varied
            part = sorted(order[start : start + 1024], key=lambda i: len(self.rows[i]))
            while part:
                length = -(-(len(self.rows[part[-1]]) - 1) // 16) * 16
                count = max(1, self.tokens // length)
                self.queue.append(part[-count:])
                del part[-count:]
        self.random.shuffle(self.queue)

    def next(self):
        self.produced += 1
        if self.window_every and self.produced % self.window_every == 0:
            starts = self.random.integers(0, len(self.stream) - self.context, max(1, self.tokens // self.context))
            rows = [np.concatenate(([self.bos], self.stream[s : s + self.context])) for s in starts]
        else:
            if not self.queue:
                self._fill()
            picked = self.queue.pop()
            self.epochs += len(picked) / len(self.rows)
            rows = [self.rows[i] for i in picked]
        length = -(-(max(map(len, rows)) - 1) // 16) * 16
        inputs = np.zeros((len(rows), length), np.int64)
        targets = np.full((len(rows), length), IGNORE, np.int64)
        for i, row in enumerate(rows):
            inputs[i, : len(row) - 1] = row[:-1]
            targets[i, : len(row) - 1] = row[1:]
        return inputs, targets
