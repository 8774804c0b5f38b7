import { printable } from "./output.js";

/** Lines of aligned columns. `alignment` has a letter for each column: l or r. */
export function table(rows: readonly (readonly string[])[], alignment: string, indent = ""): string {
  return padded(
    rows.map((row) => row.map(printable)),
    alignment,
  )
    .map((row) => `${indent}${row.join("  ").trimEnd()}\n`)
    .join("");
}

/** A table in Markdown; the first row is its header. */
export function markdownTable(rows: readonly (readonly string[])[], alignment: string): string {
  const cells = rows.map((row) => row.map((cell) => printable(cell).replaceAll("|", "\\|")));
  // a rule of at least three dashes and a colon
  const [header, ...body] = padded([...cells, [...alignment].map(() => "----")], alignment).slice(0, -1);
  const rule = header!.map((cell, column) =>
    alignment[column] === "r" ? `${"-".repeat(width(cell) - 1)}:` : "-".repeat(width(cell)),
  );
  return [header!, rule, ...body].map((row) => `| ${row.join(" | ")} |\n`).join("");
}

/** Cells padded to the width of the widest in their column. */
function padded(cells: readonly (readonly string[])[], alignment: string): string[][] {
  const widths = [...alignment].map((_, column) =>
    cells.reduce((widest, row) => Math.max(widest, width(row[column] ?? "")), 0),
  );
  return cells.map((row) =>
    row.map((cell, column) => {
      const padding = " ".repeat(widths[column]! - width(cell));
      return alignment[column] === "r" ? padding + cell : cell + padding;
    }),
  );
}

/** Code points, which is what most scripts take on a terminal; East Asian ones are wider, and their rows stand out. */
function width(text: string): number {
  return [...text].length;
}
