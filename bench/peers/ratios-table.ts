import { markdownTable } from "../../cli/table.js";
import { quartiles } from "../measure.js";
import type { Measured } from "./contestants.js";
import type { Line, Row } from "./rows.js";

/** One measurement, as the results' file keeps it. */
export interface Result {
  readonly row: string;
  readonly round: number;
  readonly contestant: string;
  readonly measured: Measured;
}

/**
 * A table in Markdown. Values are medians of the rounds. A ratio is the median of the ratios in each round, so that what else the machine
 * did in a round hits both sides. Lines of which nothing is measured are left out.
 */
export function ratiosTable(rows: readonly Row[], results: readonly Result[]): string {
  const body = rows.flatMap((row) => {
    const ofRow = results.filter((result) => result.row === row.name);
    return row.lines.map((line) => tableLine(line, ofRow)).filter((cells) => cells !== undefined);
  });
  const header = ["what", "measured", "value", "against", "value", "ratio", "of read speed", "rounds"];
  return markdownTable([header, ...body], "llrlrrrr");
}

function tableLine(line: Line, results: readonly Result[]): string[] | undefined {
  const ours = series(results, line.of, line.quantity);
  if (ours.size === 0) return undefined;
  const peers = (line.against ?? [])
    .map(({ id, quantity }) => ({ id, quantity, values: series(results, id, quantity) }))
    .filter(({ values }) => values.size > 0)
    .sort((a, b) => median([...b.values.values()]) - median([...a.values.values()]));
  const [peer] = peers;
  const ratio = peer && medianRatio(ours, peer.values);
  const reads = line.reading === undefined ? undefined : series(results, line.reading, "GB/s");
  const share = reads && medianRatio(series(results, line.of, `GB/s ${line.quantity}`), reads);
  return [
    line.what,
    engineOf(results, line.of),
    shown(median([...ours.values()])),
    peer ? `${engineOf(results, peer.id)}${peer.quantity === line.quantity ? "" : `, ${peer.quantity}`}` : "",
    peer ? shown(median([...peer.values.values()])) : "",
    ratio === undefined ? "" : `${ratio.toFixed(2)} x`,
    share === undefined ? "" : `${(100 * share).toFixed(0)} %`,
    String(ours.size),
  ];
}

/** A contestant's values of a quantity, by round. */
function series(results: readonly Result[], contestant: string, quantity: string): Map<number, number> {
  const values = new Map<number, number>();
  for (const result of results) {
    const value = result.measured.values[quantity];
    if (result.contestant === contestant && value !== undefined) values.set(result.round, value);
  }
  return values;
}

/** Undefined where no round has both. */
function medianRatio(
  ours: ReadonlyMap<number, number>,
  theirs: ReadonlyMap<number, number>,
): number | undefined {
  const ratios = [...ours].flatMap(([round, value]) => {
    const other = theirs.get(round);
    return other === undefined ? [] : [value / other];
  });
  return ratios.length ? median(ratios) : undefined;
}

function engineOf(results: readonly Result[], contestant: string): string {
  return results.find((result) => result.contestant === contestant)!.measured.engine;
}

function median(values: readonly number[]): number {
  return quartiles(values).median;
}

/** Three digits, or all of the integer's. */
function shown(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
