import { defineConfig } from "vitest/config";

// Apart from the other tests, since these install packages: `npm run consumers`.
export default defineConfig({
  test: { include: ["*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 },
});
