import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { chooseBuild } from "./choose-build.js";

const compiled = fileURLToPath(new URL("../../dist/runtime/memory/choose-build.js", import.meta.url));

/** What a Node of its own chooses, with the given flags: the test's own Node has others. */
async function chosenWith(...flags: string[]): Promise<string> {
  const program = `import(${JSON.stringify(compiled)}).then(async ({ chooseBuild }) => console.log((await chooseBuild()).build))`;
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, "-e", program]);
  return stdout.trim();
}

it("a build asked for by name is taken", async () => {
  expect((await chooseBuild("simd")).build).toBe("simd");
  expect((await chooseBuild("relaxed")).build).toBe("relaxed");
  expect((await chooseBuild("relaxed16")).build).toBe("relaxed16");
});

it.runIf(process.versions.node.startsWith("20."))(
  "Node 20 gets simd, also where its relaxed SIMD is switched on, which its baseline compiler gets wrong",
  async () => {
    expect(await chosenWith()).toBe("simd");
    expect(await chosenWith("--experimental-wasm-relaxed-simd")).toBe("simd");
  },
);

it.skipIf(process.versions.node.startsWith("20."))("later versions get a relaxed build", async () => {
  expect(await chosenWith()).toMatch(/^relaxed(16)?$/);
});

/** The processor's features, where the system tells them. */
const features = existsSync("/proc/cpuinfo") ? readFileSync("/proc/cpuinfo", "utf8") : "";

it.skipIf(process.versions.node.startsWith("20.") || process.arch !== "x64" || !features)(
  "later versions get 16-bit sums where x86 lacks AVX-VNNI, or does without it",
  async () => {
    expect(await chosenWith()).toBe(/\bavx_vnni\b/.test(features) ? "relaxed" : "relaxed16");
    expect(await chosenWith("--no-enable-avx-vnni")).toBe("relaxed16");
  },
);

describe("an engine that cannot run the kernels is told what it lacks:", () => {
  /** The message that a Node of its own fails with. */
  async function refusalWith(...flags: string[]): Promise<string> {
    const program = `import(${JSON.stringify(compiled)}).then(({ chooseBuild }) => chooseBuild()).catch(({ name, message }) => console.log(name + ": " + message))`;
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, "-e", program]);
    return stdout.trim();
  }

  // V8 has SIMD on processors with SSE 4.1 only
  it.skipIf(process.arch !== "x64")("SIMD", async () => {
    const flags = ["ssse3", "sse4-1", "avx", "avx2"].map((feature) => `--no-enable-${feature}`);
    expect(await refusalWith(...flags)).toBe(
      "UnsupportedError: Cannot run the simd kernels: expected an engine with WebAssembly SIMD, this one does not accept them",
    );
  });

  it("WebAssembly itself", async () => {
    expect(await refusalWith("--jitless")).toBe(
      "UnsupportedError: Cannot run the kernels: expected an engine with WebAssembly, this one has none",
    );
  });
});
