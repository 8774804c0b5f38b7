"""GGUF v3: write and read the parts a Llama model uses, from the specification
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), and ggml's block formats F32, F16, Q8_0, Q4_0."""

import struct

import numpy as np

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8  # ggml's tensor types
BLOCK = 32  # weights in a block
U32, I32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # metadata value types
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


# ---- blocks ----


def blocks_of(weights):
    return np.ascontiguousarray(weights, np.float32).reshape(-1, BLOCK)


def inverse(d):
    return np.divide(np.float32(1), d, out=np.zeros_like(d), where=d != 0)


def quantize_q8_0(weights):
    """34 bytes for 32 weights: d f16, q i8[32]; w = d q, d = amax / 127, q rounded half away from zero."""
    x = blocks_of(weights)
    d = np.abs(x).max(1, keepdims=True) / np.float32(127)
    scaled = x * inverse(d)
    q = (np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))).astype(np.int8)
    return np.concatenate([d.astype(np.float16).view(np.uint8), q.view(np.uint8)], 1).tobytes()


def quantize_q4_0(weights):
    """18 bytes for 32 weights: d f16, then weight i in the low and weight i + 16 in the high half of byte i;
    w = d (q - 8), d = (the weight of largest magnitude) / -8."""
    x = blocks_of(weights)
    d = np.take_along_axis(x, np.abs(x).argmax(1)[:, None], 1) / np.float32(-8)
    q = np.minimum(15, (x * inverse(d) + np.float32(8.5)).astype(np.int8)).astype(np.uint8)
    return np.concatenate([d.astype(np.float16).view(np.uint8), q[:, :16] | q[:, 16:] << 4], 1).tobytes()


ENCODERS = {
    F32: lambda w: np.ascontiguousarray(w, np.float32).tobytes(),
    F16: lambda w: np.ascontiguousarray(w, np.float16).tobytes(),
    Q8_0: quantize_q8_0,
    Q4_0: quantize_q4_0,
}


def size_of(kind, count):
    return {F32: count * 4, F16: count * 2, Q8_0: count // BLOCK * 34, Q4_0: count // BLOCK * 18}[kind]


def decode(kind, data):
    """bytes -> float32[count]"""
    if kind in (F32, F16):
        return np.frombuffer(data, np.float32 if kind == F32 else np.float16).astype(np.float32)
    rows = np.frombuffer(data, np.uint8).reshape(-1, 34 if kind == Q8_0 else 18)
    d = np.ascontiguousarray(rows[:, :2]).view(np.float16).astype(np.float32)
    if kind == Q8_0:
        q = np.ascontiguousarray(rows[:, 2:]).view(np.int8)
    else:
        q = np.concatenate([rows[:, 2:] & 15, rows[:, 2:] >> 4], 1).astype(np.int8) - np.int8(8)
    return (d * q.astype(np.float32)).reshape(-1)


# ---- the file ----


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    return string(v) if kind == STRING else struct.pack(SCALARS[kind], v)


def write(path, metadata, tensors):
    """metadata: [(key, type, value)], an array's type being (ARRAY, element type). tensors: [(name, type, array)]."""
    head = MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(metadata))
    for key, kind, v in metadata:
        head += string(key)
        if isinstance(kind, tuple):
            head += struct.pack("<IIQ", ARRAY, kind[1], len(v)) + b"".join(value(kind[1], each) for each in v)
        else:
            head += struct.pack("<I", kind) + value(kind, v)
    body = b""
    for name, kind, array in tensors:
        # dimensions innermost first: GGUF writes a (rows, columns) matrix as columns, rows
        head += string(name) + struct.pack("<I", array.ndim) + struct.pack(f"<{array.ndim}Q", *array.shape[::-1])
        head += struct.pack("<IQ", kind, len(body))
        body += ENCODERS[kind](array)
        body += b"\0" * (-len(body) % ALIGNMENT)
    head += b"\0" * (-len(head) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(head + body)


def read(path):
    """-> (metadata dict, {name: float32 array, outermost dimension first})"""
    with open(path, "rb") as file:
        data = file.read()
    at = 0

    def take(form):
        nonlocal at
        (v,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return v

    def take_value(kind):
        nonlocal at
        if kind == STRING:
            size = take("<Q")
            at += size
            return data[at - size : at].decode()
        if kind == ARRAY:
            kind, count = take("<I"), take("<Q")
            return [take_value(kind) for _ in range(count)]
        return take(SCALARS[kind])

    assert data[:4] == MAGIC, "not a GGUF file"
    at = 4
    version, n_tensors, n_keys = take("<I"), take("<Q"), take("<Q")
    assert version == VERSION, f"GGUF version {version}"
    metadata = {}
    for _ in range(n_keys):
        key = take_value(STRING)
        metadata[key] = take_value(take("<I"))
    entries = []
    for _ in range(n_tensors):
        name = take_value(STRING)
        shape = [take("<Q") for _ in range(take("<I"))][::-1]
        entries.append((name, shape, take("<I"), take("<Q")))
    alignment = metadata.get("general.alignment", ALIGNMENT)
    start = -(-at // alignment) * alignment
    tensors = {}
    for name, shape, kind, offset in entries:
        size = size_of(kind, int(np.prod(shape)))
        tensors[name] = decode(kind, data[start + offset : start + offset + size]).reshape(shape)
    return metadata, tensors
