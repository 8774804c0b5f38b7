/**
 * Writes SentencePiece models for tests: the bytes of a ModelProto from a plain description. Only what is given is
 * written, so that what is left out has protobuf's default, as in a real file.
 */
export interface ModelDescription {
  readonly pieces: readonly PieceDescription[];
  readonly trainer?: {
    /** 1 unigram, 2 BPE, 3 word, 4 char. */
    readonly modelType?: number;
    readonly whitespaceAsSuffix?: boolean;
    readonly byteFallback?: boolean;
    readonly unkSurface?: string;
    readonly bosPiece?: string;
    readonly eosPiece?: string;
  };
  readonly normalizer?: NormalizerDescription;
  readonly denormalizer?: NormalizerDescription;
  readonly selfTests?: readonly { readonly input: string; readonly expected: string }[];
}

export interface PieceDescription {
  readonly piece: string | Uint8Array;
  readonly score?: number;
  /** 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; any other number is written as it is. */
  readonly type?: number;
}

export interface NormalizerDescription {
  readonly characterMap?: Uint8Array;
  readonly addDummyPrefix?: boolean;
  readonly removeExtraWhitespaces?: boolean;
  readonly escapeWhitespaces?: boolean;
}

export function writeModelProto(model: ModelDescription): Uint8Array {
  const { pieces, trainer, normalizer, denormalizer, selfTests } = model;
  return concat([
    ...pieces.map(({ piece, score, type }) =>
      message(1, [bytes(1, piece), float(2, score), type === undefined ? none : varintField(3, type)]),
    ),
    trainer
      ? message(2, [
          optional(trainer.modelType, (value) => varintField(3, value)),
          flag(24, trainer.whitespaceAsSuffix),
          flag(35, trainer.byteFallback),
          optional(trainer.unkSurface, (value) => bytes(44, value)),
          optional(trainer.bosPiece, (value) => bytes(46, value)),
          optional(trainer.eosPiece, (value) => bytes(47, value)),
        ])
      : none,
    normalizer ? message(3, normalizerFields(normalizer)) : none,
    selfTests
      ? message(
          4,
          selfTests.map(({ input, expected }) => message(1, [bytes(1, input), bytes(2, expected)])),
        )
      : none,
    denormalizer ? message(5, normalizerFields(denormalizer)) : none,
  ]);
}

/** unk, bos and eos as ids 0 to 2, which nearly every model begins with. */
export const specialPieces: readonly PieceDescription[] = [
  { piece: "<unk>", type: 2 },
  { piece: "<s>", type: 3 },
  { piece: "</s>", type: 3 },
];

/** The 256 byte pieces. */
export const bytePieces: readonly PieceDescription[] = Array.from({ length: 256 }, (_, byte) => ({
  piece: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  type: 6,
}));

const none = new Uint8Array(0);

function normalizerFields(normalizer: NormalizerDescription): Uint8Array[] {
  return [
    optional(normalizer.characterMap, (value) => bytes(2, value)),
    flag(3, normalizer.addDummyPrefix),
    flag(4, normalizer.removeExtraWhitespaces),
    flag(5, normalizer.escapeWhitespaces),
  ];
}

function optional<T>(value: T | undefined, write: (value: T) => Uint8Array): Uint8Array {
  return value === undefined ? none : write(value);
}

function flag(field: number, value: boolean | undefined): Uint8Array {
  return optional(value, (set) => varintField(field, set ? 1 : 0));
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

function varintField(field: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(field << 3), ...varint(value)]);
}

function float(field: number, value: number | undefined): Uint8Array {
  if (value === undefined) return none;
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value, true);
  return concat([Uint8Array.from(varint((field << 3) | 5)), new Uint8Array(view.buffer)]);
}

function bytes(field: number, value: string | Uint8Array): Uint8Array {
  const content = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return concat([Uint8Array.from([...varint((field << 3) | 2), ...varint(content.length)]), content]);
}

function message(field: number, parts: readonly Uint8Array[]): Uint8Array {
  return bytes(field, concat(parts));
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
