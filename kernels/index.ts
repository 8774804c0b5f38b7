// The module's whole surface: pure functions over addresses, in bytes, of one memory. Nothing is checked here outside
// the debug build: the runtime hands over only addresses and counts that it has checked.
export { add } from "./add";
export { attention_f32 } from "./attention_f32";
export { cache_f32 } from "./cache_f32";
export { embed_f16, encode_f16, matmul_f16, matvec_f16, pack_f16 } from "./f16";
export { embed_f32, encode_f32, matmul_f32, matvec_f32, pack_bf16, pack_f32 } from "./f32";
export { embed_q4_0, encode_q4_0, matmul_q4_0, matvec_q4_0, pack_q4_0 } from "./q4_0";
export { embed_q8_0, encode_q8_0, matmul_q8_0, matvec_q8_0, pack_q8_0 } from "./q8_0";
export { rmsnorm } from "./rmsnorm";
export { rope } from "./rope";
export { silu_mul } from "./silu_mul";
export { softmax } from "./softmax";
