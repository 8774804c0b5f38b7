/**
 * Where the bundled model is, a GGUF of some four megabytes beside this module: a file in Node, an address to fetch in a
 * browser. Its card is models/README.md.
 */
export const tinyUrl: URL = new URL("./tiny.gguf", import.meta.url);
