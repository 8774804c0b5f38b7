/** Reads a file of the system; undefined where there is none. */
type ReadText = (path: string) => string | undefined;

/**
 * Bytes that this process can take without swapping, and without the system ending it: what the machine has available, or what is left
 * of a limit set to the process's control group (a container's), whichever is less. Undefined where nobody tells: in browsers.
 */
export function availableMemory(): number | undefined {
  const builtin = globalThis.process?.getBuiltinModule;
  if (!builtin) return undefined;
  const { readFileSync } = builtin("node:fs");
  return availableBytes((path) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  }, builtin("node:os").freemem());
}

/** The same by the files of a Linux system, as `read` gives them, where it has them; else `freeBytes`, by the system's own call. */
export function availableBytes(read: ReadText, freeBytes: number): number {
  // free and, beside that, what caches give back when it is asked for
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(read("/proc/meminfo") ?? "")?.[1];
  const machine = available === undefined ? freeBytes : Number(available) * 1024;
  return Math.min(machine, ...groupRooms(read));
}

/** What is left of the limits of the process's control groups, of either version, and of those that they are in. */
function groupRooms(read: ReadText): number[] {
  const rooms: number[] = [];
  for (const line of (read("/proc/self/cgroup") ?? "").split("\n")) {
    const [, controllers, group] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (group === undefined) continue;
    const isVersion2 = controllers === "";
    if (!isVersion2 && !controllers!.split(",").includes("memory")) continue;
    const root = isVersion2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    for (let path = group; ; path = path.slice(0, path.lastIndexOf("/"))) {
      const folder = `${root}${path.replace(/\/$/, "")}`;
      const room = isVersion2 ? roomOf(read, folder, version2) : roomOf(read, folder, version1);
      if (room !== undefined) rooms.push(room);
      if (path.length <= 1) break;
    }
  }
  return rooms;
}

/** The files and fields by which a group tells of its memory. Cached files count as used, but are given back when memory is asked for. */
interface GroupFiles {
  readonly limit: string;
  readonly used: string;
  readonly cached: readonly string[];
}

const version2: GroupFiles = {
  limit: "memory.max",
  used: "memory.current",
  cached: ["active_file", "inactive_file"],
};
const version1: GroupFiles = {
  limit: "memory.limit_in_bytes",
  used: "memory.usage_in_bytes",
  cached: ["total_active_file", "total_inactive_file"],
};

function roomOf(read: ReadText, folder: string, files: GroupFiles): number | undefined {
  const number = (name: string) => Number(read(`${folder}/${name}`)?.trim() || Number.NaN);
  const limit = number(files.limit); // not a number where it is "max"
  const used = number(files.used);
  if (Number.isNaN(limit) || Number.isNaN(used)) return undefined;
  const stat = read(`${folder}/memory.stat`) ?? "";
  const cached = files.cached.reduce((sum, name) => {
    return sum + Number(new RegExp(`^${name} (\\d+)$`, "m").exec(stat)?.[1] ?? 0);
  }, 0);
  return Math.max(0, limit - Math.max(0, used - cached));
}
