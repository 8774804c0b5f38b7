import { describe, expect, it } from "vitest";
import { drawKernels, type KernelSpeed } from "./charts.js";

const speed = (changes: Partial<KernelSpeed> = {}): KernelSpeed => ({
  kernel: "matvec_q4_0",
  shape: "memory [8, 4096]",
  build: "simd",
  bytes: 4e8,
  span: 4e8,
  operations: 1.6e9,
  numbers: "integers",
  gigaoperationsPerSecond: 40,
  readLimit: 20,
  computeLimit: 90,
  bound: "reading",
  share: 0.5,
  ...changes,
});

const drawn = [
  speed(),
  speed({ build: "relaxed", gigaoperationsPerSecond: 80, share: 1 }),
  speed({
    kernel: "rmsnorm",
    shape: "[1, 4096]",
    numbers: "floats",
    span: 5e4,
    bytes: 5e4,
    operations: 16_384,
  }),
  speed({ kernel: "pack_q8_0", operations: 0, share: 0.1 }),
];

/** Attributes of every element of a name. */
function elements(svg: string, name: string): Record<string, string>[] {
  return [...svg.matchAll(new RegExp(`<${name}\\b([^>]*)>`, "g"))].map(([, attributes]) =>
    Object.fromEntries(
      [...attributes!.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, key, value]) => [key!, value!]),
    ),
  );
}

describe("drawKernels()", () => {
  it("writes well-formed XML, whatever the names hold", () => {
    const svg = drawKernels([...drawn, speed({ kernel: 'a<b>&"c"' })], "x < y & z");
    const open: string[] = [];
    const rest = svg.replace(/<(\/?)([\w-]+)(?:\s+[\w-]+="[^"<>]*")*\s*(\/?)>/g, (_, end, name, empty) => {
      if (end) expect(open.pop()).toBe(name);
      else if (!empty) open.push(name);
      return "";
    });
    expect(open).toEqual([]);
    expect(rest).not.toMatch(/[<>]/);
    expect(rest).not.toMatch(/&(?!(amp|lt|gt|quot);)/);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  it("writes no label on another, however close the limits are", () => {
    const close = ["simd", "relaxed", "relaxed16", "fourth"].map((build, i) =>
      speed({ build, computeLimit: 90 + i }),
    );
    const svg = drawKernels([...close, speed({ numbers: "floats", computeLimit: 91 })], "");
    const labels = [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)"[^>]*>[^<]*GOP\/s<\/text>/g)].filter(
      ([, x]) => Number(x) > 700,
    );
    expect(labels).toHaveLength(5);
    const heights = labels.map(([, , y]) => Number(y)).sort((a, b) => a - b);
    for (const [i, y] of heights.entries()) if (i > 0) expect(y - heights[i - 1]!).toBeGreaterThanOrEqual(11);
  });

  it("draws a bar for each kernel and build, as long as its share", () => {
    const bars = elements(drawKernels(drawn, ""), "rect").filter((rect) => rect.class === "share");
    const widths = bars.map(({ width }) => Number(width));
    expect(widths).toHaveLength(4);
    expect(widths[1]! / widths[0]!).toBeCloseTo(2, 2);
    expect(widths[3]! / widths[1]!).toBeCloseTo(0.1, 2);
  });

  it("draws a point for each kernel that computes, one that reaches its limit on the roof", () => {
    const svg = drawKernels(drawn, "");
    const points = elements(svg, "circle").filter((circle) => circle["fill-opacity"]);
    expect(points).toHaveLength(3);
    // the slope of 20 GB/s goes through 4 operations/byte at 80 GOP/s, where the second point is
    const slopes = elements(svg, "line").filter(({ x1, x2, y1, y2 }) => x1 !== x2 && y1 !== y2);
    const distances = slopes.map(({ x1, y1, x2, y2 }) => {
      const [ax, ay, bx, by] = [x1, y1, x2, y2].map(Number) as [number, number, number, number];
      const along = (Number(points[1]!.cx) - ax) / (bx - ax);
      return Math.abs(ay + along * (by - ay) - Number(points[1]!.cy));
    });
    expect(Math.min(...distances)).toBeLessThan(0.1);
  });

  it("draws nothing where there is nothing", () => {
    expect(drawKernels([], "none")).toContain("</svg>");
  });
});
