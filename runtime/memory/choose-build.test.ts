import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
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
