/**
 * Cuts parts 0 to count - 1, in their order, into as few runs as the limit allows, and these as equal as the parts allow: the
 * largest run is as small as it can be in so many; then, after the first run is taken off, the largest of the rest; and so on.
 *
 * @param size of the parts [begin, end), an integer; with more parts it is never smaller
 * @param limit that no run's size exceeds; each part by itself is within it
 * @returns the end of each run
 */
export function spread(
  count: number,
  size: (begin: number, end: number) => number,
  limit: number,
): readonly number[] {
  /** Fills runs to a limit from `begin` on; undefined where it takes more than `most`. */
  function fill(begin: number, limit: number, most: number): number[] | undefined {
    const ends: number[] = [];
    for (let from = begin; from < count; ) {
      let end = from;
      while (end < count && size(from, end + 1) <= limit) end++;
      if (end === from || ends.length === most) return undefined;
      ends.push(end);
      from = end;
    }
    return ends;
  }

  const fewest = fill(0, limit, count);
  if (!fewest)
    throw new RangeError(`Cannot spread ${count} parts: one of them is above the limit of ${limit}`);
  const ends: number[] = [];
  for (let begin = 0; begin < count; begin = ends.at(-1)!) {
    const left = fewest.length - ends.length;
    let tooSmall = 0;
    let enough = limit;
    while (enough - tooSmall > 1) {
      const middle = Math.floor((tooSmall + enough) / 2);
      if (fill(begin, middle, left)) enough = middle;
      else tooSmall = middle;
    }
    ends.push(fill(begin, enough, left)![0]!);
  }
  return ends;
}
