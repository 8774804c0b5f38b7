/** Whether paths are of files on this machine; elsewhere they are addresses on the web. */
export function isNode(): boolean {
  return globalThis.process?.getBuiltinModule !== undefined;
}
