/** Text to ids and back, for one vocabulary. */
export interface Tokenizer {
  /**
   * The ids of a text, as SentencePiece gives them. Neither bos nor eos is added unless asked for, and no text turns
   * into a control id: `<s>` in a text is four characters.
   *
   * A string's lone surrogates and a byte array's malformed bytes (each one) become U+FFFD.
   *
   * @throws TokenizerError when bos or eos is asked for and the vocabulary has none.
   */
  encode(text: string | Uint8Array, options?: EncodeOptions): number[];

  /**
   * The pieces of a text, each with the part of the text that it was made of: what `encode` gives, in detail. Characters
   * of a string are counted in UTF-16 units, as JavaScript does, those of a byte array in bytes.
   */
  encodePieces(text: string | Uint8Array, options?: EncodeOptions): EncodedPiece[];

  /**
   * The text as it is cut into pieces: rewritten by the model's rules, malformed bytes as U+FFFD, spaces added, removed
   * and written as U+2581 as the model says. SentencePiece's Normalize.
   */
  normalize(text: string | Uint8Array): string;

  /**
   * The `count` best ways to encode a text, at most 512, the best first, with their scores. Fewer where there are fewer.
   *
   * @throws TokenizerError for a vocabulary that is not of the unigram type: others know one way only.
   */
  encodeNBest(text: string | Uint8Array, count: number): NBestEncoding[];

  /**
   * The text of ids. Control pieces are invisible; byte pieces that make no UTF-8 become one U+FFFD each.
   *
   * @throws RangeError for an id that is not in the vocabulary.
   */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;

  /** The text of pieces, as `decode` gives it for their ids. What is no piece stands for itself, as it is. */
  decodePieces(pieces: Iterable<string>, options?: DecodeOptions): string;

  /** Decodes id by id. What it gives, put together, is what `decode` gives. */
  decoder(options?: StreamOptions): StreamDecoder;

  /**
   * The piece as it stands in the vocabulary: `▁Hello`, `<0x0A>`, `<s>`.
   *
   * @throws RangeError for an id that is not in the vocabulary.
   */
  piece(id: number): string;

  /** The id of a piece, whatever its type. Undefined for a piece that the vocabulary does not have. */
  id(piece: string): number | undefined;

  /**
   * The vocabulary as plain data with GGUF's fields, from which `openTokenizer` makes the same tokenizer again.
   *
   * @throws UnsupportedTokenizerError for a vocabulary that these fields cannot say: one that is no BPE with byte fallback, or
   *   rewrites the text.
   */
  vocabulary(): VocabularyData;

  /** Ids run from 0 to vocabSize - 1. */
  readonly vocabSize: number;
  /** Begin of sequence. Undefined where the vocabulary has none. */
  readonly bos: number | undefined;
  /** End of sequence. Undefined where the vocabulary has none. */
  readonly eos: number | undefined;
  /** What unknown characters become where the vocabulary has no byte pieces. */
  readonly unk: number | undefined;
}

/** Decodes ids one by one, with the text so far kept in it. Made by `decoder()`. */
export interface StreamDecoder {
  /**
   * The text that this id completes, possibly none: always whole characters, so that a character spread over several
   * byte pieces appears with the last of them.
   *
   * @throws RangeError for an id that is not in the vocabulary; the decoder is then as before.
   */
  push(id: number): string;
  /** The text still held back (bytes of an unfinished character, as U+FFFD). The decoder then begins anew. */
  end(): string;
}

/** How to turn a text into ids. By default its pieces alone, the best ones. */
export interface EncodeOptions {
  /** Put the bos id in front. */
  readonly bos?: boolean | undefined;
  /** Put the eos id at the end. */
  readonly eos?: boolean | undefined;
  /**
   * Find special tokens in the text by their names: all of them, or those that are listed. For text that comes from the
   * program and not from a user, who could write `</s>` otherwise. Special are the control pieces of a SentencePiece
   * model or a GGUF, and the added tokens of a tokenizer.json, whose flags (lstrip, rstrip, single_word, normalized) are
   * followed. What stands between them is encoded as a text of its own, with a space in front, as in llama.cpp; a
   * tokenizer.json says itself where that space goes.
   */
  readonly special?: boolean | readonly string[] | undefined;
  /**
   * The text continues another, whose ids come before: no space is put in front of it. (Together the ids may be others than those of
   * both texts in one.)
   */
  readonly continues?: boolean | undefined;
  /** Encode in one of the many possible ways, drawn at random, as is done in training. Unigram and BPE only. */
  readonly sample?: SampleOptions | undefined;
  /**
   * What to do with the pieces, in this order, before `bos` and `eos` are added: SentencePiece's extra options. "unk"
   * names unknown pieces `<unk>` instead of what they stand for; their ids are the same.
   */
  readonly extra?: readonly ExtraOption[] | undefined;
}

/** A name of SentencePiece's extra options: what to do with the pieces of a text once they are found. */
export type ExtraOption = "bos" | "eos" | "reverse" | "unk";

/** A piece of an encoded text, and where it comes from. */
export interface EncodedPiece {
  /** Its number in the vocabulary. */
  readonly id: number;
  /** The piece as it stands in the vocabulary; for an unknown one what it stands for, once normalized. */
  readonly piece: string;
  /**
   * Where the text begins and ends that the piece was made of: `text.slice(begin, end)`. The space put in front of a
   * text takes no room in it; of a character's byte pieces the last one has the character, the others nothing; bos and
   * eos are 0, 0.
   */
  readonly begin: number;
  /** Where it ends: the first unit that is no longer part of it. */
  readonly end: number;
}

/** How to draw one of the many ways to encode a text. */
export interface SampleOptions {
  /** The same seed (32 bits of it) draws the same encoding. */
  readonly seed: number;
  /**
   * Unigram: an encoding is drawn with probability proportional to exp(alpha * score), so that 0 makes all alike and a
   * large alpha draws the best. BPE: the probability that a merge is left out (BPE-dropout), from 0 to 1.
   */
  readonly alpha: number;
  /** Unigram: draw from this many of the best encodings, at most 512. Otherwise from all there are. */
  readonly nBest?: number | undefined;
}

/** One of the best ways to encode a text. */
export interface NBestEncoding {
  /** Its ids, without bos and eos. */
  readonly ids: readonly number[];
  /** The sum of the pieces' scores, in float32. */
  readonly score: number;
}

/**
 * Unigram scores are added in float32, and which of two encodings with nearly the same score wins depends on how:
 * "float64" compares a new sum before it is rounded, as SentencePiece up to 0.1.97 does, "float32" rounds it first, as
 * 0.2.2 does.
 */
export type UnigramTies = "float64" | "float32";

/** How to decode ids that come one by one. */
export interface StreamOptions {
  /**
   * The ids continue a text, such as a model's answer to a prompt: the space of the first piece is kept. Otherwise it
   * is taken for the one that encoding puts in front of a text, and dropped.
   */
  readonly continues?: boolean | undefined;
}

/** How to turn ids into a text. */
export interface DecodeOptions extends StreamOptions {
  /** Take the ids or pieces from the last to the first: SentencePiece's extra option for what was encoded so. */
  readonly reverse?: boolean | undefined;
}

/** How to open a vocabulary. By default it is followed as SentencePiece 0.1.97 does. */
export interface OpenOptions {
  /** What to call the vocabulary in error messages, such as the file's name. */
  readonly name?: string | undefined;
  /**
   * Whose ways to follow where programs differ; "sentencepiece" unless given. "llama.cpp": malformed bytes become their
   * byte pieces instead of U+FFFD; decoding drops the space in front from the very first piece only, so that after bos it
   * stays; unknown and unused pieces decode to nothing, and unused ones are used in encoding; unk counts as special, and
   * user-defined tokens are found in every text as special ones are, and decode as they stand. Not followed is llama.cpp's
   * search for such tokens, the longest one in the whole text first: here the leftmost comes first, which differs where
   * they overlap.
   */
  readonly conventions?: "sentencepiece" | "llama.cpp" | undefined;
  /**
   * Encode with these pieces only, and with pieces of one character: SentencePiece's SetVocabulary, for a vocabulary that
   * has to be that of some text. Unigram and BPE only. Control, byte and user-defined pieces stay, and decoding knows all
   * pieces as before.
   */
  readonly vocabulary?: Iterable<string> | undefined;
  /** Which version of SentencePiece to follow where unigram encodings tie; "float64" (0.1.97) unless given. */
  readonly unigramTies?: UnigramTies | undefined;
  /**
   * Told of what may well be wrong and is no error: a SentencePiece model without its specs, which a download cut short
   * at the wrong place looks like.
   */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * A vocabulary as plain data, with GGUF's fields. Where a field is missing llama.cpp's defaults hold: bos 1, eos 2,
 * unk 0, a space in front of the text.
 */
export interface VocabularyData {
  /** `tokenizer.ggml.model`: "llama" is SentencePiece BPE. */
  readonly model: string;
  /** The pieces as they stand in the vocabulary, by id. */
  readonly tokens: readonly string[];
  /** How good each piece is, by id: of two merges the one with the higher score comes first. */
  readonly scores?: ArrayLike<number> | undefined;
  /** SentencePiece's piece types: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly types?: ArrayLike<number> | undefined;
  /** Id that begins a text. Default: 1. */
  readonly bos?: number | undefined;
  /** Id that ends a text. Default: 2. */
  readonly eos?: number | undefined;
  /** Id of unknown characters. Default: 0. */
  readonly unk?: number | undefined;
  /** End of turn, in chat models. Checked, not used: it is the chat's business. */
  readonly eot?: number | undefined;
  /** Whether the model wants bos in front. Not used: `encode` adds what it is asked to add. */
  readonly addBos?: boolean | undefined;
  /** Whether the model wants eos at the end. Not used, likewise. */
  readonly addEos?: boolean | undefined;
  /** Whether a space is put in front of a text. Default: true. */
  readonly addSpacePrefix?: boolean | undefined;
}
