import { defineConfig } from "vitest/config";

// Node 20 knows relaxed SIMD behind a flag, and computes it right only in its optimizing compiler. The relaxed build is not
// used there, but its tests run, without the baseline compiler. Later versions need no flags.
const node20 = process.versions.node.startsWith("20.");

/** Threads cannot start from TypeScript: those of the tests run what `npm test` has built. */
const builtWorkers = {
  name: "built-workers",
  transform(code: string, id: string) {
    const [, room] = /\/runtime\/(pool|worker)\/[^/]+\.ts$/.exec(id) ?? [];
    if (!room) return;
    return code.replaceAll(/"\.\/((?:crew|engine)-worker\.js)"(?=, (?:here|import))/g, (_, script) =>
      JSON.stringify(new URL(`./dist/runtime/${room}/${script}`, import.meta.url)),
    );
  },
};

export default defineConfig({
  plugins: [builtWorkers],
  test: {
    include: ["**/*.test.ts"],
    exclude: ["node_modules/**", "dist/**", "test/consumers/**"],
    execArgv: node20 ? ["--experimental-wasm-relaxed-simd", "--no-liftoff"] : [],
    testTimeout: 30_000,
  },
});
