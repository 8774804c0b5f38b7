/** Kinds of files that are handed over by mistake, by how they begin. */
const kinds: readonly (readonly [start: string, kind: string])[] = [
  ["version https://git-lfs", "a Git LFS pointer (the real file was never downloaded)"],
  ["<!doctype", "an HTML page"],
  ["<html", "an HTML page"],
  ["<?xml", "an XML document"],
  ["PK\x03\x04", "a zip archive"],
  ["\x1f\x8b", "a gzip archive"],
  ["\x80\x02", "a Python pickle"],
  ["\x80\x03", "a Python pickle"],
  ["\x80\x04", "a Python pickle"],
  ["24ka", "a llama2.c checkpoint"],
];

/** What bytes look like that hold no vocabulary, as in "found an HTML page"; undefined when they look like nothing known. */
export function recognize(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return "an empty file";
  const head = String.fromCharCode(...bytes.subarray(0, 64));
  const text = head
    .replace(/^\xef\xbb\xbf/, "")
    .trimStart()
    .toLowerCase();
  for (const [start, kind] of kinds) if (head.startsWith(start) || text.startsWith(start)) return kind;
  if (/^[\s\S]{8}\{\s*"/.test(head)) return "a safetensors file";
  return undefined;
}

/** Whether the bytes are JSON text, as in Hugging Face's tokenizer.json. */
export function isJson(bytes: Uint8Array): boolean {
  const head = String.fromCharCode(...bytes.subarray(0, 64));
  return /^(\xef\xbb\xbf)?\s*[{[]\s*["[{\]}]/.test(head);
}
