import { FormatError } from "../errors.js";
import { ByteCursor, quoted } from "./byte-cursor.js";

/** A tensor as PyTorch pickles it: a window on a storage, whose bytes are a file of the archive. */
export interface PickledTensor {
  readonly storage: PickledStorage;
  /** In elements of the storage. */
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

export interface PickledStorage {
  /** The class's name less "Storage": Half, BFloat16, Float. */
  readonly type: string;
  /** The name of its file, below `data/`. */
  readonly key: string;
  readonly elements: number;
}

/** What the classes and functions that may be named in the pickle stand for; there are no others. */
class Global {
  constructor(readonly name: string) {}
}

class Tuple {
  constructor(readonly items: readonly unknown[]) {}
}

class Storage implements PickledStorage {
  constructor(
    readonly type: string,
    readonly key: string,
    readonly elements: number,
  ) {}
}

class Tensor implements PickledTensor {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

const mark = Symbol("mark");
const orderedDict = "collections.OrderedDict";
const rebuildTensor = "torch._utils._rebuild_tensor_v2";
const storageClass = /^torch\.(\w+)Storage$/;

/**
 * Reads the pickle of a dictionary of tensors, as `torch.save` writes a state_dict. A pickle is a program: this reader knows the
 * instructions that build plain values, runs nothing, and refuses one that names anything but tensors, storages and dictionaries.
 *
 * @throws FormatError for any other pickle
 *
 * Source: Lib/pickletools.py of CPython; torch/serialization.py and torch/_utils.py of PyTorch
 */
export function readTensorPickle(bytes: Uint8Array, name: string): ReadonlyMap<string, PickledTensor> {
  const value = new PickleReader(bytes, name).read();
  if (!(value instanceof Map))
    throw new FormatError(`Cannot read ${name}: expected a pickled dictionary of tensors`);
  for (const [key, tensor] of value) {
    if (typeof key === "string" && tensor instanceof Tensor) continue;
    throw new FormatError(
      `Cannot read ${name}: expected names with tensors, found ${quoted(String(key))} without`,
    );
  }
  return value as ReadonlyMap<string, PickledTensor>;
}

class PickleReader {
  #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();
  readonly #cursor: ByteCursor;
  readonly #bytes: Uint8Array;
  readonly #name: string;

  constructor(bytes: Uint8Array, name: string) {
    this.#cursor = new ByteCursor(bytes, name, bytes.length);
    this.#bytes = bytes;
    this.#name = name;
  }

  read(): unknown {
    for (;;) {
      const code = this.#cursor.u8("pickle");
      if (code === 0x2e) return this.#pop(); // STOP
      this.#run(code);
    }
  }

  /** One instruction. The names beside them are pickletools'. */
  #run(code: number): void {
    const cursor = this.#cursor;
    switch (String.fromCharCode(code)) {
      case "\x80": // PROTO
        this.#checkProtocol(cursor.u8("pickle"));
        break;
      case "\x95": // FRAME
        cursor.size("pickle frame");
        break;
      case "q": // BINPUT
        this.#memo.set(cursor.u8("pickle"), this.#top());
        break;
      case "r": // LONG_BINPUT
        this.#memo.set(cursor.u32("pickle"), this.#top());
        break;
      case "\x94": // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        break;
      case "s": // SETITEM
        this.#setItems(this.#popMany(2));
        break;
      case "u": // SETITEMS
        this.#setItems(this.#popToMark());
        break;
      case "b": // BUILD: attributes of the dictionary itself, such as _metadata, which are no tensors
        this.#pop();
        if (!(this.#top() instanceof Map)) throw this.#bad("attributes of an object");
        break;
      default:
        this.#stack.push(this.#value(code));
    }
  }

  /** What an instruction that adds a value to the stack adds. */
  #value(code: number): unknown {
    const cursor = this.#cursor;
    switch (String.fromCharCode(code)) {
      case "(": // MARK
        return mark;
      case "}": // EMPTY_DICT
        return new Map();
      case ")": // EMPTY_TUPLE
        return new Tuple([]);
      case "N": // NONE
        return null;
      case "\x88": // NEWTRUE
        return true;
      case "\x89": // NEWFALSE
        return false;
      case "K": // BININT1
        return cursor.u8("pickle");
      case "M": // BININT2
        return cursor.view(2, "pickle").getUint16(0, true);
      case "J": // BININT
        return cursor.view(4, "pickle").getInt32(0, true);
      case "\x8a": // LONG1
        return this.#long(cursor.u8("pickle"));
      case "X": // BINUNICODE
        return this.#text(cursor.u32("length of a text"));
      case "\x8c": // SHORT_BINUNICODE
        return this.#text(cursor.u8("length of a text"));
      case "h": // BINGET
        return this.#remembered(cursor.u8("pickle"));
      case "j": // LONG_BINGET
        return this.#remembered(cursor.u32("pickle"));
      case "c": // GLOBAL
        return this.#global(this.#line(), this.#line());
      case "\x93": // STACK_GLOBAL
        return this.#global(...this.#popMany(2).map(String));
      case "t": // TUPLE
        return new Tuple(this.#popToMark());
      case "\x85": // TUPLE1
      case "\x86": // TUPLE2
      case "\x87": // TUPLE3
        return new Tuple(this.#popMany(code - 0x84));
      case "Q": // BINPERSID
        return this.#storage(this.#pop());
      case "R": // REDUCE
        return this.#call(...this.#popMany(2));
      default:
        throw this.#bad(`the instruction 0x${code.toString(16)}`);
    }
  }

  #checkProtocol(protocol: number): void {
    if (protocol < 2 || protocol > 5) throw this.#bad(`protocol ${protocol}`);
  }

  #long(length: number): number {
    let value = 0n;
    const digits = this.#cursor.take(length, "pickle");
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(digits[i]!);
    return Number(BigInt.asIntN(8 * length, value));
  }

  #text(length: number): string {
    return new TextDecoder().decode(this.#cursor.take(length, "a text"));
  }

  #line(): string {
    const start = this.#cursor.position;
    const end = this.#bytes.indexOf(0x0a, start);
    if (end < 0) throw this.#bad("a name without an end");
    const text = this.#text(end - start);
    this.#cursor.position = end + 1;
    return text;
  }

  #global(...path: readonly string[]): Global {
    const full = path.join(".");
    if (full === orderedDict || full === rebuildTensor || storageClass.test(full)) return new Global(full);
    throw new FormatError(
      `Cannot read ${this.#name}: expected a pickle of tensors only, found one that would run ${quoted(full)}; nothing was run`,
    );
  }

  #call(what?: unknown, args?: unknown): unknown {
    if (!(what instanceof Global && args instanceof Tuple)) throw this.#bad("a call of what is no function");
    if (what.name === orderedDict && args.items.length === 0) return new Map();
    if (what.name === rebuildTensor) {
      const [storage, offset, shape, strides] = args.items;
      if (storage instanceof Storage && isCount(offset) && isCounts(shape) && isCounts(strides)) {
        return new Tensor(storage, offset, shape.items, strides.items);
      }
    }
    throw this.#bad(`${quoted(what.name)} with other arguments`);
  }

  /** ("storage", class, key, device, elements) */
  #storage(id: unknown): Storage {
    if (id instanceof Tuple) {
      const [kind, type, key, , elements] = id.items;
      const [, typeName] = (type instanceof Global && storageClass.exec(type.name)) || [];
      if (kind === "storage" && typeName && typeof key === "string" && isCount(elements)) {
        return new Storage(typeName, key, elements);
      }
    }
    throw this.#bad("a reference that is no storage");
  }

  #setItems(items: readonly unknown[]): void {
    const map = this.#top();
    if (!(map instanceof Map) || items.length % 2) throw this.#bad("items of what is no dictionary");
    for (let i = 0; i < items.length; i += 2) {
      if (map.has(items[i])) throw this.#bad(`${quoted(String(items[i]))} twice`);
      map.set(items[i], items[i + 1]);
    }
  }

  #remembered(index: number): unknown {
    if (!this.#memo.has(index)) throw this.#bad(`a reference to value ${index}, which is not there yet`);
    return this.#memo.get(index);
  }

  #top(): unknown {
    if (this.#stack.length === 0) throw this.#bad("an instruction without its operand");
    return this.#stack.at(-1);
  }

  #pop(): unknown {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  #popMany(count: number): unknown[] {
    if (this.#stack.length < count) throw this.#bad("an instruction without its operands");
    return this.#stack.splice(-count);
  }

  #popToMark(): unknown[] {
    const at = this.#stack.lastIndexOf(mark);
    if (at < 0) throw this.#bad("an instruction without its mark");
    const [, ...items] = this.#stack.splice(at);
    return items;
  }

  #bad(found: string): FormatError {
    return this.#cursor.bad("pickle", "a dictionary of tensors", found);
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCounts(value: unknown): value is { readonly items: readonly number[] } {
  return value instanceof Tuple && value.items.every(isCount);
}
