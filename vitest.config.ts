import { defineConfig } from "vitest/config";

// Node 20 knows relaxed SIMD behind a flag, and computes it right only in its optimizing compiler. The relaxed build is not
// used there, but its tests run, without the baseline compiler. Later versions need no flags.
const node20 = process.versions.node.startsWith("20.");

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["node_modules/**", "dist/**"],
    execArgv: node20 ? ["--experimental-wasm-relaxed-simd", "--no-liftoff"] : [],
    testTimeout: 30_000,
  },
});
