// The module's whole surface: pure functions over addresses, in bytes, of one memory. Nothing is checked here outside
// the debug build: the runtime hands over only addresses and counts that it has checked.
export { add } from "./add";
export { attention_f16, attention_f32, attention_q8_0 } from "./attention";
export { cache_f16, cache_f32, cache_q8_0 } from "./cache";
export { embed_f16, encode_f16, matmul_f16, matvec_f16, pack_f16 } from "./f16";
export { embed_f32, encode_f32, matmul_f32, matvec_f32, pack_bf16, pack_f32 } from "./f32";
export { pack_iq4_nl } from "./iq4_nl";
export { embed_q2_k, encode_q2_k, matvec_q2_k, pack_q2_k } from "./q2_k";
export { matmul_q2_k } from "./q2_k_matmul";
export { pack_q3_k } from "./q3_k";
export { embed_q4_0, encode_q4_0, matvec_q4_0, pack_q4_0 } from "./q4_0";
export { matmul_q4_0 } from "./q4_0_matmul";
export { embed_q4_1, encode_q4_1, matmul_q4_1, matvec_q4_1, pack_q4_1 } from "./q4_1";
export { embed_q4_k, encode_q4_k, matvec_q4_k, pack_q4_k } from "./q4_k";
export { matmul_q4_k } from "./q4_k_matmul";
export { pack_q5_0 } from "./q5_0";
export { embed_q5_1, encode_q5_1, matmul_q5_1, matvec_q5_1, pack_q5_1 } from "./q5_1";
export { embed_q5_k, encode_q5_k, matvec_q5_k, pack_q5_k } from "./q5_k";
export { matmul_q5_k } from "./q5_k_matmul";
export { embed_q6_k, encode_q6_k, matvec_q6_k, pack_q6_k } from "./q6_k";
export { matmul_q6_k } from "./q6_k_matmul";
export { embed_q8_0, encode_q8_0, matvec_q8_0, pack_q8_0 } from "./q8_0";
export { matmul_q8_0 } from "./q8_0_matmul";
export { rmsnorm } from "./rmsnorm";
export { rope } from "./rope";
export { silu_mul } from "./silu_mul";
export { softmax } from "./softmax";
