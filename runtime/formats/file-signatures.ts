/** Kinds of files that people hand to a model reader by mistake, told by their first bytes. */
const signatures: readonly { readonly kind: string; readonly starts: readonly string[] }[] = [
  { kind: "a GGUF file", starts: ["GGUF"] },
  { kind: "a llama2.c checkpoint", starts: ["24ka"] },
  { kind: "a GGML file from before GGUF (2023)", starts: ["lmgg", "fmgg", "tjgg", "algg"] },
  { kind: "a Git LFS pointer (the real file was never downloaded)", starts: ["version https://git-lfs"] },
  { kind: "an HTML page", starts: ["<!doctype", "<html", "<head", "<!--"] },
  { kind: "an XML document", starts: ["<?xml"] },
  { kind: "a zip archive (PyTorch writes its checkpoints so)", starts: ["PK\x03\x04", "PK\x05\x06"] },
  { kind: "a gzip archive", starts: ["\x1f\x8b"] },
  { kind: "a Python pickle", starts: ["\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"] },
  { kind: "an HDF5 file", starts: ["\x89HDF\r\n"] },
  { kind: "a SentencePiece model", starts: ["\x0a\x0e\x0a\x05<unk>"] },
];

/** Bytes that `describeHead` needs to see to know every kind. */
export const signatureBytes = 64;

/** What a file looks like from its first bytes. Undefined when it looks like nothing known. */
function recognize(head: Uint8Array): string | undefined {
  const text = latin1(head);
  const trimmed = text.replace(/^\xef\xbb\xbf/, "").trimStart();
  if (/^[\s\S]{8}\{\s*"/.test(text)) return "a safetensors file"; // u64 header length, then JSON
  for (const { kind, starts } of signatures) {
    if (starts.some((start) => text.startsWith(start))) return kind;
    // markup may begin with a byte order mark or blank lines, and is written in either case
    if (starts.some((start) => start.startsWith("<") && trimmed.toLowerCase().startsWith(start))) return kind;
  }
  if (/^[[{]/.test(trimmed)) return "JSON text";
  return undefined;
}

/** What a file that is not the one expected is instead: "it looks like an HTML page". Unknown bytes are shown. */
export function describeHead(head: Uint8Array): string {
  if (head.length === 0) return "it is empty";
  const kind = recognize(head);
  if (kind) return `it looks like ${kind}`;
  const bytes = Array.from(head.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0"));
  return `it begins with the bytes ${bytes.join(" ")}`;
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, signatureBytes));
}
