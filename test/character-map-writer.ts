/**
 * Writes SentencePiece's precompiled character map for tests: each key of `rules` becomes its value. The double array
 * is made in the plainest way, a block of 256 units for the children of each node: large, and easy to see right.
 */
export function writeCharacterMap(rules: Readonly<Record<string, string>>): Uint8Array {
  const encoder = new TextEncoder();

  // The trie. A node's place in `nodes` gives its block: the children of node n are at 256 * (n + 1) + byte.
  const nodes: { readonly children: Map<number, number>; value?: number }[] = [{ children: new Map() }];
  const strings: number[] = [];
  for (const [from, to] of Object.entries(rules)) {
    let node = 0;
    for (const byte of encoder.encode(from)) {
      let next = nodes[node]!.children.get(byte);
      if (next === undefined) {
        next = nodes.push({ children: new Map() }) - 1;
        nodes[node]!.children.set(byte, next);
      }
      node = next;
    }
    nodes[node]!.value = strings.length;
    strings.push(...encoder.encode(to), 0);
  }

  const units = new Uint32Array(256 * (nodes.length + 1));
  const blockOf = (node: number) => 256 * (node + 1);
  // the unit of a node at `position`: its label, whether a rule ends there, and the way to its block, by exclusive or
  const writeUnit = (position: number, label: number, node: number) => {
    const leaf = nodes[node]!.value === undefined ? 0 : 0x100;
    units[position] = ((position ^ blockOf(node)) << 10) | leaf | label;
  };
  writeUnit(0, 0, 0);
  nodes.forEach(({ children, value }, node) => {
    for (const [byte, child] of children) writeUnit(blockOf(node) + byte, byte, child);
    if (value !== undefined) units[blockOf(node)] = (0x80000000 | value) >>> 0;
  });

  const trie = new Uint8Array(units.buffer);
  const blob = new Uint8Array(4 + trie.length + strings.length);
  new DataView(blob.buffer).setUint32(0, trie.length, true);
  blob.set(trie, 4);
  blob.set(strings, 4 + trie.length);
  return blob;
}
