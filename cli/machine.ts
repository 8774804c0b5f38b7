import { cpus, loadavg } from "node:os";

/** What a figure depends on beside the code. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly v8: string;
  /** Processes that wanted a core in the last minute, this one included. */
  readonly load: number;
  readonly date: string;
}

export function thisMachine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? "unknown",
    cores: all.length,
    node: process.versions.node,
    v8: process.versions.v8,
    load: Math.round(loadavg()[0]! * 100) / 100,
    date: new Date().toISOString().slice(0, 10),
  };
}

export function describeMachine({ cpu, cores, node, v8, load, date }: Machine): string {
  return `${cpu}, ${cores} cores, load ${load}; Node ${node} (V8 ${v8}); ${date}`;
}
