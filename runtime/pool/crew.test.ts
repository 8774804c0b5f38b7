import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { ThreadError } from "../errors.js";
import { chooseBuild } from "../memory/choose-build.js";
import { jobNumbers } from "../memory/jobs.js";
import { createCrew, type WorkerCrew } from "./crew.js";

const PAGE = 65_536;
const crews: WorkerCrew[] = [];

/** A crew over as many shared memories of two pages. */
async function makeCrew(threads: number, stages = 1) {
  const { module } = await chooseBuild(undefined, true);
  const memories = Array.from(
    { length: stages },
    () => new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true }),
  );
  const crew = await createCrew({ threads, module, memories });
  crews.push(crew);
  return { crew, memories };
}

afterEach(async () => {
  await Promise.all(crews.splice(0).map((crew) => crew.dispose()));
});

/** x += delta in chunks: shows every unit that is computed twice, or not at all. */
const add = (crew: WorkerCrew, stage: number, count: number, chunk: number) =>
  crew.run(stage, jobNumbers.add, count, chunk, [PAGE, PAGE + 16_384]);

describe("createCrew()", () => {
  it.each([2, 3, 4, 8])("%i threads compute every unit of a job once", async (threads) => {
    const { crew, memories } = await makeCrew(threads, 2);
    await crew.ready;
    const views = memories.map(({ buffer }) => new Float32Array(buffer, PAGE, 8192));
    for (const view of views) view.fill(1, 4096);
    const sums = [0, 0];
    for (let round = 0; round < 3000; round++) {
      const stage = round % 2;
      const count = 16 + ((round * 7) % 4000);
      views[stage]!.fill(0, 0, count);
      add(crew, stage, count, 16);
      sums[stage] = views[stage]!.subarray(0, 4096).reduce((sum, value) => sum + value, 0);
      const done = views[stage]!.subarray(0, count);
      if (done.some((value) => value !== 1)) throw new Error(`round ${round}: a unit is not 1`);
    }
    expect(sums.every((sum) => sum > 0)).toBe(true);
  });

  it("computes before its workers have started, and while they sleep", async () => {
    const { crew, memories } = await makeCrew(2);
    const view = new Float32Array(memories[0]!.buffer, PAGE, 8192);
    view.fill(1, 4096);
    add(crew, 0, 4096, 16);
    await crew.ready;
    for (let round = 0; round < 20; round++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      add(crew, 0, 4096, 16);
    }
    expect(view.subarray(0, 4096).every((value) => value === 21)).toBe(true);
  });

  it("throws the error of a kernel, and from then on a ThreadError", async () => {
    const { crew } = await makeCrew(2);
    await crew.ready;
    const beyond = 2 * PAGE + 4;
    expect(() => crew.run(0, jobNumbers.add, 32, 16, [beyond, beyond])).toThrow();
    expect(() => add(crew, 0, 4096, 16)).toThrow(ThreadError);
  });

  it("refuses to go on when a worker has ended", async () => {
    const { crew } = await makeCrew(2);
    await crew.ready;
    crew.lose("number 1 ended with code 1");
    expect(() => add(crew, 0, 4096, 16)).toThrow(/expected 2 threads at work, number 1 ended/);
    const { crew: another, memories } = await makeCrew(2);
    await another.ready;
    const view = new Float32Array(memories[0]!.buffer, PAGE, 4096);
    add(another, 0, 4096, 16);
    expect(view.every((value) => value === 0)).toBe(true);
  });

  it("throws a ThreadError once it is disposed of", async () => {
    const { crew } = await makeCrew(2);
    await crew.ready;
    await crew.dispose();
    expect(() => add(crew, 0, 4096, 16)).toThrow(ThreadError);
  });

  it("leaves no thread behind", async () => {
    const osThreads = () => readdirSync("/proc/self/task").length;
    if (process.platform !== "linux") return;
    for (let round = 0; round < 3; round++) {
      const before = osThreads();
      const { crew } = await makeCrew(4);
      await crew.ready;
      expect(osThreads()).toBeGreaterThanOrEqual(before + 3);
      await crew.dispose();
      expect(osThreads()).toBeLessThan(before + 3);
    }
  });

  it("burns no processor time while nothing is computed", async () => {
    const { crew } = await makeCrew(4);
    await crew.ready;
    add(crew, 0, 4096, 16);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 400));
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(200);
  });

  it("does not keep a process alive that forgets to dispose", async () => {
    const printed = await run(`
      const model = await load("tiny", { threads: 3 });
      const { tokens } = await model.generate("Once", { maxTokens: 4, temperature: 0 });
      console.log(model.threads, tokens.length);`);
    expect(printed).toBe("3 4");
  });

  it("where threads are refused, those asked for are a ThreadError, and those not asked for are done without", async () => {
    const permission = process.versions.node.startsWith("20.") ? "--experimental-permission" : "--permission";
    const printed = await run(
      `
      await load("tiny", { threads: 2 }).catch((error) => console.log(error.name, error.message));
      const checkpoint = await openCheckpoint(await fileSource(tiny));
      const llama = await loadLlama(checkpoint, { contextLength: 8, threads: 2, threadsOptional: true });
      console.log(llama.threads, forward(llama, [1, 2, 3], 0).every(Number.isFinite));`,
      [permission, "--allow-fs-read=*"],
    );
    expect(printed).toMatch(
      /^ThreadError .*expected 2 threads at work, number 1 could not be started: .*\n1 true$/,
    );
  });

  it("an abort while threads start ends the loading", async () => {
    const printed = await run(`
      const controller = new AbortController();
      const checkpoint = await openCheckpoint(await fileSource(tiny));
      setTimeout(() => controller.abort(new Error("enough")), 1);
      await loadLlama(checkpoint, { contextLength: 8, threads: 8, signal: controller.signal }).catch((error) =>
        console.log(error.message));`);
    expect(printed).toBe("enough");
  });
});

describe("crew-worker.js", () => {
  it("imports no package, since import maps don't reach workers", () => {
    const seen = new Set<string>();
    const visit = (url: URL) => {
      if (seen.has(url.href)) return;
      seen.add(url.href);
      for (const [, name] of readFileSync(url, "utf8").matchAll(/^(?:import|export) .*from "([^"]+)";$/gm)) {
        expect(name, url.href).toMatch(/^\.\.?\//);
        visit(new URL(name!, url));
      }
    };
    visit(new URL("../../dist/runtime/pool/crew-worker.js", import.meta.url));
    expect(seen.size).toBeGreaterThan(4);
  });
});

/** What a program prints that is run in a process of its own, with what it needs imported from the build. */
async function run(program: string, flags: readonly string[] = []): Promise<string> {
  const url = (path: string) => JSON.stringify(new URL(`../../dist/${path}`, import.meta.url));
  const script = `import { load } from ${url("runtime/index.js")};
    import { openCheckpoint } from ${url("runtime/formats/open.js")};
    import { fileSource } from ${url("runtime/formats/source.js")};
    import { loadLlama } from ${url("runtime/model/llama.js")};
    import { forward } from ${url("runtime/model/forward.js")};
    const tiny = new URL(${url("models/tiny.gguf")});
    ${program}`;
  const args = [...flags, "--input-type=module", "--eval", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  return stdout.trim();
}
