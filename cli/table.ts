import { printable } from "./output.js";

/** Lines of aligned columns. `alignment` has a letter for each column: l or r. */
export function table(rows: readonly (readonly string[])[], alignment: string, indent = ""): string {
  const cells = rows.map((row) => row.map(printable));
  const widths = [...alignment].map((_, column) =>
    cells.reduce((widest, row) => Math.max(widest, width(row[column] ?? "")), 0),
  );
  const lines = cells.map((row) =>
    row.map((cell, column) => {
      const padding = " ".repeat(widths[column]! - width(cell));
      return alignment[column] === "r" ? padding + cell : cell + padding;
    }),
  );
  return lines.map((line) => `${indent}${line.join("  ").trimEnd()}\n`).join("");
}

/** Code points, which is what most scripts take on a terminal; East Asian ones are wider, and their rows stand out. */
function width(text: string): number {
  return [...text].length;
}
