/**
 * The builds of the kernels, whose results are bit-equal:
 *
 *   simd       plain 128-bit SIMD
 *   relaxed    with relaxed SIMD's dot of bytes, summed in 32 bits: one instruction on x86 with AVX-VNNI and ARM with dot products
 *   relaxed16  with its dot summed in 16 bits: for x86 without AVX-VNNI, where the other dot is five instructions
 *
 * Apart from the kernels themselves, which not everyone who names a build wants to load.
 */
export const builds = ["simd", "relaxed", "relaxed16"] as const;
/** A build of the kernels: see `builds`. */
export type Build = (typeof builds)[number];
