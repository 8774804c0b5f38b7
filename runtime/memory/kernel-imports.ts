/**
 * What an instance of the kernels imports: its memory, and a function that the debug build calls when an assertion fails; it throws what failed and
 * where. Strings are UTF-16, their length in bytes in the four bytes before them.
 */
export function kernelImports(memory: WebAssembly.Memory) {
  function abort(message: number, file: number, line: number, column: number): never {
    const view = new DataView(memory.buffer);
    const text = (at: number) => {
      let s = "";
      for (let i = 0; at && i < view.getUint32(at - 4, true); i += 2)
        s += String.fromCharCode(view.getUint16(at + i, true));
      return s;
    };
    throw new Error(
      `Kernel assertion failed at ${text(file)}:${line}:${column}: ${text(message) || "expected true"}`,
    );
  }
  return { env: { memory, abort } };
}
