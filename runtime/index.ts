// The public API.

export type { Tokenizer } from "../tokenizer/index.js";
export type { Chat, ChatFormatOption, ChatOptions, RenderChatOptions } from "./api/chat.js";
export {
  type Conversion,
  type ConvertedTensor,
  type ConvertOptions,
  type ConvertType,
  convert,
} from "./api/convert.js";
export {
  type Estimate,
  type EstimatedContext,
  type EstimatedStage,
  type EstimateOptions,
  estimate,
} from "./api/estimate.js";
export type { Generation, GenerationResult, Part } from "./api/generation.js";
export { type InspectedTensor, type Inspection, inspect } from "./api/inspect.js";
export { type LoadOptions, load, loadInThread } from "./api/load.js";
export type {
  GenerateOptions,
  LogitsOptions,
  Model,
  Perplexity,
  PerplexityOptions,
} from "./api/model.js";
export { openModelTokenizer } from "./api/open-model-tokenizer.js";
export type { RemoteModel } from "./api/remote-source.js";
export type { Session, SessionCallOptions } from "./api/session.js";
export type { SourceLike } from "./api/sources.js";
export type { ChatFormatName } from "./chat/formats.js";
export type { ChatMessage } from "./chat/messages.js";
export type { TemplateVariables } from "./chat/template.js";
export {
  ChatError,
  ContextError,
  FormatError,
  ModelError,
  NetworkError,
  NumericError,
  OutOfMemoryError,
  SnapshotError,
  StorageError,
  ThreadError,
  UnsupportedError,
} from "./errors.js";
export { type CachedFile, type ModelCache, openModelCache } from "./files/model-cache.js";
export type { MetadataValue, ModelConfig } from "./formats/checkpoint.js";
export type { Sink } from "./formats/gguf-writer.js";
export type { WeightErrors } from "./formats/requantize.js";
export type { Source } from "./formats/source.js";
export type { EndedBy } from "./generate/generate-tokens.js";
export { type Build, builds, type CacheType, type WeightMode } from "./memory/choices.js";
export type { Suggestion } from "./memory/fit.js";
export type { DecodeSpeed } from "./model/decode-speed.js";
export type { LayerState, OnLayer } from "./model/layer-state.js";
export type { Progress } from "./progress.js";
export type { TokenLogprob } from "./sampling/log-probabilities.js";
export type { CustomSampler, SamplerOptions } from "./sampling/options.js";
