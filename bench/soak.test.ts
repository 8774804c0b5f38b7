import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const program = fileURLToPath(new URL("../dist/bench/soak.js", import.meta.url));
const linux = process.platform === "linux";

it("the bundled model writes a thousand tokens in many texts without keeping memory or threads", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [program, "--tokens", "1000"]);
  const report = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
  expect(report).toMatchObject({ model: "tiny", tokens: 1000, problems: [] });
  expect(report.texts).toBeGreaterThan(10);
  expect(Math.abs(report.end.heap - report.start.heap)).toBeLessThan(2 ** 20);
  if (linux) expect(report.threadsAfter).toBeLessThanOrEqual(report.threadsBefore);
});
