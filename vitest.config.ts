import { defineConfig } from "vitest/config";

// Node 20 knows relaxed SIMD behind a flag, and computes it right only in its optimizing compiler. The relaxed build is not
// used there, but its tests run, without the baseline compiler. Later versions need no flags.
const node20 = process.versions.node.startsWith("20.");

/** Threads cannot start from TypeScript: those of the tests run what `npm test` has built. */
const builtWorkers = {
  name: "built-workers",
  transform(code: string, id: string) {
    if (!id.endsWith("/runtime/pool/worker-thread.ts")) return;
    const built = new URL("./dist/runtime/pool/crew-worker.js", import.meta.url);
    return code.replace('"./crew-worker.js"', JSON.stringify(built));
  },
};

export default defineConfig({
  plugins: [builtWorkers],
  test: {
    include: ["**/*.test.ts"],
    exclude: ["node_modules/**", "dist/**"],
    execArgv: node20 ? ["--experimental-wasm-relaxed-simd", "--no-liftoff"] : [],
    testTimeout: 30_000,
  },
});
