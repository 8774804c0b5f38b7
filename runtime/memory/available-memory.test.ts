import { describe, expect, it } from "vitest";
import { availableBytes, availableMemory } from "./available-memory.js";

const meminfo = "MemTotal:       24684092 kB\nMemFree:        1000 kB\nMemAvailable:   24074736 kB\n";

/** Reads from files that are given here; the formats are those of proc(5) and of the kernel's cgroup documentation. */
function reader(files: Readonly<Record<string, string>>) {
  return (path: string) => files[path];
}

describe("availableBytes()", () => {
  it("is what the system counts as available, which caches are part of", () => {
    expect(availableBytes(reader({ "/proc/meminfo": meminfo }), 1)).toBe(24_074_736 * 1024);
  });

  it("is what the system's own call says where there is no such file", () => {
    expect(availableBytes(reader({}), 12_345)).toBe(12_345);
    expect(availableBytes(reader({ "/proc/meminfo": "MemFree: 7 kB\n" }), 12_345)).toBe(12_345);
  });

  it("is what a control group (version 2) leaves, its cached files not counted as used", () => {
    const files = {
      "/proc/meminfo": meminfo,
      "/proc/self/cgroup": "0::/\n",
      "/sys/fs/cgroup/memory.max": "1000000\n",
      "/sys/fs/cgroup/memory.current": "700000\n",
      "/sys/fs/cgroup/memory.stat":
        "anon 300000\nfile 500000\nshmem 100000\ninactive_file 150000\nactive_file 250000\n",
    };
    expect(availableBytes(reader(files), 1)).toBe(1_000_000 - 300_000);
    expect(availableBytes(reader({ ...files, "/sys/fs/cgroup/memory.max": "max\n" }), 1)).toBe(
      24_074_736 * 1024,
    );
  });

  it("is the least that any group around the process leaves", () => {
    const files = {
      "/proc/meminfo": meminfo,
      "/proc/self/cgroup": "0::/user.slice/job\n",
      "/sys/fs/cgroup/user.slice/job/memory.max": "max\n",
      "/sys/fs/cgroup/user.slice/job/memory.current": "600\n",
      "/sys/fs/cgroup/user.slice/memory.max": "5000\n",
      "/sys/fs/cgroup/user.slice/memory.current": "1000\n",
    };
    expect(availableBytes(reader(files), 1)).toBe(4000);
  });

  it("is what a control group (version 1) leaves", () => {
    const files = {
      "/proc/meminfo": meminfo,
      "/proc/self/cgroup": "12:cpu,cpuacct:/box\n5:memory:/box\n",
      "/sys/fs/cgroup/memory/box/memory.limit_in_bytes": "2000\n",
      "/sys/fs/cgroup/memory/box/memory.usage_in_bytes": "1500\n",
      "/sys/fs/cgroup/memory/box/memory.stat": "cache 1\ntotal_inactive_file 200\ntotal_active_file 100\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/memory.usage_in_bytes": "1500\n",
    };
    expect(availableBytes(reader(files), 1)).toBe(800);
  });

  it("is never below 0, and passes over what it can't read", () => {
    const group = { "/proc/self/cgroup": "0::/\nnonsense\n", "/sys/fs/cgroup/memory.max": "10\n" };
    expect(availableBytes(reader({ ...group, "/sys/fs/cgroup/memory.current": "500\n" }), 1)).toBe(0);
    expect(availableBytes(reader({ ...group, "/sys/fs/cgroup/memory.current": "x\n" }), 77)).toBe(77);
  });
});

describe("availableMemory()", () => {
  it("is more than nothing and less than the machine has, in Node", async () => {
    const { totalmem } = await import("node:os");
    expect(availableMemory()).toBeGreaterThan(10e6);
    expect(availableMemory()).toBeLessThan(totalmem());
  });
});
