// The two plots of the kernels' report, as SVG without a library.

import { quartiles } from "./measure.js";

/** What is drawn of one kernel at one shape in one build. */
export interface KernelSpeed {
  readonly kernel: string;
  readonly shape: string;
  readonly build: string;
  /** Of one call: bytes, different ones among them, operations. */
  readonly bytes: number;
  readonly span: number;
  readonly operations: number;
  readonly numbers: "integers" | "floats";
  readonly gigaoperationsPerSecond: number;
  /** What the machine reads of as many bytes, in GB/s, and computes in registers, in GOP/s. */
  readonly readLimit: number;
  readonly computeLimit: number;
  /** Which of the two takes longer, and the share of it in the kernel's time. */
  readonly bound: "reading" | "computing";
  readonly share: number;
}

const WIDTH = 960;
const colors = ["#2563a8", "#c2571a", "#2f7d4f", "#8a4a9e", "#8c7a1c"];

/** One document: the roofline plot, and below it the shares. */
export function drawKernels(speeds: readonly KernelSpeed[], caption: string): string {
  const roofline = drawRoofline(speeds);
  const bars = drawShares(speeds);
  const height = 40 + roofline.height + bars.height;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">`,
    "<title>Kernels beside the machine's limits: a roofline plot, and the share of the limit of each</title>",
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(16, 22, caption, { size: 12 }),
    `<g transform="translate(0 40)">${roofline.body}</g>`,
    `<g transform="translate(0 ${40 + roofline.height})">${bars.body}</g>`,
    "</svg>\n",
  ].join("\n");
}

interface Drawing {
  readonly body: string;
  readonly height: number;
}

/** What a roofline plot calls a roof: reading some bytes for every operation, or computing. */
interface Roof {
  readonly label: string;
  readonly at: (intensity: number) => number;
}

/** The kernels that multiply and add, by operations for each byte (x) and in a second (y), under the machine's limits. */
function drawRoofline(speeds: readonly KernelSpeed[]): Drawing {
  const points = speeds.filter(({ operations }) => operations > 0);
  if (points.length === 0) return { body: "", height: 0 };
  const height = 420;
  const frame = { left: 60, right: WIDTH - 170, top: 30, bottom: height - 50 };
  const roofs = roofsOf(points);
  const intensity = ({ operations, bytes }: KernelSpeed) => operations / bytes;
  const x = logScale(points.map(intensity), frame.left, frame.right);
  const highest = points.flatMap((point) => [point.gigaoperationsPerSecond, point.computeLimit]);
  const y = logScale(highest, frame.bottom, frame.top);

  const parts = [text(frame.left, 18, "Roofline: operations/s by operations for each byte", { size: 13 })];
  for (const decade of x.decades) {
    parts.push(line(x.at(decade), frame.top, x.at(decade), frame.bottom, "#e3e3e3"));
    parts.push(text(x.at(decade), frame.bottom + 16, String(decade), { anchor: "middle" }));
  }
  for (const decade of y.decades) {
    parts.push(line(frame.left, y.at(decade), frame.right, y.at(decade), "#e3e3e3"));
    parts.push(text(frame.left - 6, y.at(decade) + 4, String(decade), { anchor: "end" }));
  }
  parts.push(text(frame.right, frame.bottom + 34, "operations / byte", { anchor: "end" }));
  parts.push(text(6, frame.top - 6, "GOP/s"));

  // a clip path would do for the slopes, but some viewers do not draw it
  const labels: Label[] = [];
  for (const { label, at } of roofs) {
    const [low, high] = x.range;
    const isSlope = at(low) !== at(high);
    const from = isSlope ? Math.max(low, y.range[0] / at(1)) : low;
    const to = isSlope ? Math.min(high, y.range[1] / at(1)) : high;
    if (from >= to) continue;
    parts.push(line(x.at(from), y.at(at(from)), x.at(to), y.at(at(to)), "#555555"));
    labels.push({ x: x.at(to) + 5, y: y.at(at(to)) + 4, label });
  }
  for (const { x, y, label } of moved(labels)) parts.push(text(x, y, label));
  const families = [...new Set(points.map(familyOf))];
  for (const point of points) {
    const color = colors[families.indexOf(familyOf(point)) % colors.length]!;
    parts.push(
      `<circle cx="${round(x.at(intensity(point)))}" cy="${round(y.at(point.gigaoperationsPerSecond))}" r="4" fill="${color}" fill-opacity="0.75"><title>${escaped(nameOf(point))}: ${point.gigaoperationsPerSecond.toFixed(1)} GOP/s</title></circle>`,
    );
  }
  families.forEach((family, i) => {
    const at = frame.bottom - 14 * (families.length - i);
    parts.push(`<circle cx="${frame.right - 110}" cy="${at}" r="4" fill="${colors[i % colors.length]}"/>`);
    parts.push(text(frame.right - 100, at + 4, family));
  });
  return { body: parts.join("\n"), height };
}

/** A text and where its line begins. */
interface Label {
  readonly x: number;
  readonly y: number;
  readonly label: string;
}

/** Labels moved down as far as it takes for none to lie on another. */
function moved(labels: readonly Label[]): Label[] {
  const line = 12;
  const width = ({ label }: Label) => 6.5 * label.length; // of most letters at this size
  const placed: Label[] = [];
  for (const label of labels.toSorted((a, b) => a.y - b.y)) {
    const beside = placed
      .filter((other) => label.x < other.x + width(other) && other.x < label.x + width(label))
      .sort((a, b) => a.y - b.y); // from above to below: what one moves it onto, another moves it off
    const y = beside.reduce((y, other) => (Math.abs(y - other.y) < line ? other.y + line : y), label.y);
    placed.push({ ...label, y });
  }
  return placed;
}

/** Reading from memory and from cache, and each kind of computing: the medians of what was measured beside the kernels. */
function roofsOf(speeds: readonly KernelSpeed[]): Roof[] {
  const cache = 2 ** 20;
  const reads = [
    ["memory", speeds.filter(({ span }) => span > 64 * cache)],
    ["cache", speeds.filter(({ span }) => span <= cache)],
  ] as const;
  const roofs: Roof[] = [];
  for (const [where, those] of reads) {
    if (those.length === 0) continue;
    const limit = median(those.map(({ readLimit }) => readLimit));
    roofs.push({ label: `${where}, ${limit.toFixed(0)} GB/s`, at: (intensity) => limit * intensity });
  }
  const kinds = new Map<string, number[]>();
  for (const { numbers, build, computeLimit } of speeds) {
    const kind = numbers === "floats" ? "floats" : `integers, ${build}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), computeLimit]);
  }
  for (const [kind, limits] of kinds) {
    const limit = median(limits);
    roofs.push({ label: `${kind}, ${limit.toFixed(0)} GOP/s`, at: () => limit });
  }
  return roofs;
}

/** The share of each kernel's limit, a bar for each build. */
function drawShares(speeds: readonly KernelSpeed[]): Drawing {
  const builds = [...new Set(speeds.map(({ build }) => build))];
  const rows = new Map<string, KernelSpeed[]>();
  for (const speed of speeds) {
    const name = `${speed.kernel} ${speed.shape}`;
    rows.set(name, [...(rows.get(name) ?? []), speed]);
  }
  const frame = { left: 330, right: WIDTH - 110, top: 44 };
  const bar = 9;
  const step = bar * builds.length + 7;
  const bottom = frame.top + rows.size * step;
  const most = Math.max(1, ...speeds.map(({ share }) => share));
  const x = (share: number) => frame.left + ((frame.right - frame.left) * share) / most;

  const parts = [
    text(16, 18, "Share of the machine's limit (the longer of reading and computing alone)", { size: 13 }),
  ];
  builds.forEach((build, i) => {
    parts.push(`<rect x="${16 + 110 * i}" y="27" width="9" height="9" fill="${colors[i % colors.length]}"/>`);
    parts.push(text(30 + 110 * i, 35, build));
  });
  for (let percent = 0; percent <= 100 * most; percent += 25) {
    parts.push(
      line(
        x(percent / 100),
        frame.top - 4,
        x(percent / 100),
        bottom,
        percent === 100 ? "#888888" : "#e3e3e3",
      ),
    );
    parts.push(text(x(percent / 100), frame.top - 8, `${percent} %`, { anchor: "middle" }));
  }
  [...rows].forEach(([name, found], row) => {
    const top = frame.top + row * step;
    parts.push(text(frame.left - 6, top + (bar * builds.length) / 2 + 4, name, { anchor: "end" }));
    for (const { build, share, bound } of found) {
      const i = builds.indexOf(build);
      const y = top + i * bar;
      parts.push(
        `<rect class="share" x="${frame.left}" y="${y}" width="${round(x(share) - frame.left)}" height="${bar - 1}" fill="${colors[i % colors.length]}"/>`,
      );
      parts.push(text(x(share) + 4, y + 8, `${(100 * share).toFixed(0)} % ${bound}`, { size: 8 }));
    }
  });
  return { body: parts.join("\n"), height: bottom + 20 };
}

function familyOf({ kernel }: KernelSpeed): string {
  const [operation] = kernel.split("_");
  return ["matvec", "matmul", "attention", "encode"].includes(operation!) ? operation! : "the rest";
}

function nameOf({ kernel, shape, build }: KernelSpeed): string {
  return `${kernel} ${shape} ${build}`;
}

/** A logarithmic scale over whole decades that holds all values. */
function logScale(values: readonly number[], from: number, to: number) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  return {
    range: [10 ** low, 10 ** high] as const,
    decades: Array.from({ length: high - low + 1 }, (_, i) => Number(`1e${low + i}`)),
    at: (value: number) => from + ((to - from) * (Math.log10(value) - low)) / (high - low),
  };
}

function median(values: readonly number[]): number {
  return quartiles(values).median;
}

function line(x1: number, y1: number, x2: number, y2: number, color: string): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${color}"/>`;
}

function text(
  x: number,
  y: number,
  content: string,
  { anchor = "start", size = 11 }: { anchor?: "start" | "middle" | "end"; size?: number } = {},
): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" font-size="${size}" fill="#222222">${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** Hundredths of a pixel are enough. */
function round(value: number): number {
  return Math.round(value * 100) / 100;
}
