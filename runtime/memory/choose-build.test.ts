import { execFile } from "node:child_process";
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
});

it.runIf(process.versions.node.startsWith("20."))(
  "Node 20 gets simd, also where its relaxed SIMD is switched on, which its baseline compiler gets wrong",
  async () => {
    expect(await chosenWith()).toBe("simd");
    expect(await chosenWith("--experimental-wasm-relaxed-simd")).toBe("simd");
  },
);

it.skipIf(process.versions.node.startsWith("20."))("later versions get relaxed", async () => {
  expect(await chosenWith()).toBe("relaxed");
});
