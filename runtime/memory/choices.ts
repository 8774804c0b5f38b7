// What is chosen by name, apart from what does it: who checks a choice need not load that.

/**
 * The builds of the kernels, whose results are bit-equal:
 *
 *   simd       plain 128-bit SIMD
 *   relaxed    with relaxed SIMD's dot of bytes, summed in 32 bits: one instruction on x86 with AVX-VNNI and ARM with dot products
 *   relaxed16  with its dot summed in 16 bits: for x86 without AVX-VNNI, where the other dot is five instructions
 */
export const builds = ["simd", "relaxed", "relaxed16"] as const;
/** A build of the kernels: see `builds`. */
export type Build = (typeof builds)[number];

/** How keys and values are kept. Their rows are described in kernels/lib/cache.ts. */
export const cacheTypes = ["f32", "f16", "q8_0"] as const;
/** How keys and values are kept: "f32", "f16", or "q8_0", 8 bits and a scale for every 32. */
export type CacheType = (typeof cacheTypes)[number];

/** Whether all weights are kept in memory, or those that the limit has no room for read from the source for each pass. */
export const weightModes = ["resident", "stream"] as const;
/** Whether all weights are kept in memory, or some are read anew for every pass. */
export type WeightMode = (typeof weightModes)[number];
