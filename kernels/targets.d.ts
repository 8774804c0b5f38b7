// Constants that asconfig.json gives the targets with --use.

/** Bits of the integer sums of dotBytes (lib/inline.ts): 16 in the target relaxed16, 32 elsewhere. */
declare const SUM_BITS: i32;
