import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../errors.js";
import { readTensorPickle } from "./pickle.js";

/** Instructions of a pickle, as characters. */
const pickle = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const read = (text: string) => readTensorPickle(pickle(text), "data.pkl");

const text = (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
const storage = `(${text("storage")}ctorch\nHalfStorage\n${text("0")}${text("cpu")}K\x06tQ`;
/** A tensor of shape [2, 3], as `_rebuild_tensor_v2` is called for it. */
const tensor = `ctorch._utils\n_rebuild_tensor_v2\n(${storage}K\0K\x02K\x03\x86K\x03K\x01\x86\x89ccollections\nOrderedDict\n)RtR`;
const dictionary = (items: string) => `\x80\x02}q\0(${items}u.`;

describe("readTensorPickle()", () => {
  it("reads names with tensors", () => {
    const tensors = read(dictionary(text("a") + tensor));
    expect([...tensors]).toEqual([
      [
        "a",
        {
          storage: { type: "Half", key: "0", elements: 6 },
          offset: 0,
          shape: [2, 3],
          strides: [3, 1],
        },
      ],
    ]);
  });

  it("reads an OrderedDict with attributes, as state_dict() gives one", () => {
    const tensors = read(
      `\x80\x02ccollections\nOrderedDict\n)Rq\x01(${text("a")}${tensor}u}${text("_metadata")}Nsb.`,
    );
    expect([...tensors.keys()]).toEqual(["a"]);
  });

  it("reads large numbers", () => {
    const large = tensor
      .replace("Q", "Q\x8a\x05\0\0\0\0\x01")
      .replace("Q\x8a\x05\0\0\0\0\x01K\0", "Q\x8a\x05\0\0\0\0\x01");
    expect(read(dictionary(text("a") + large)).get("a")!.offset).toBe(2 ** 32);
  });

  // what running them would do is in their names
  it.each([
    ["os.system", "cos\nsystem\n(X\x04\0\0\0exittR."],
    ["posix.system", `\x80\x02cposix\nsystem\n${text("touch /tmp/owned")}\x85R.`],
    ["builtins.eval", dictionary(`${text("a")}cbuiltins\neval\n${text("1")}\x85R`)],
    ["builtins.exec by its name on the stack", `\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x011\x85R.`],
    ["torch.load", `\x80\x02ctorch\nload\n${text("x")}\x85R.`],
    ["torch._utils._rebuild_parameter", dictionary(`${text("a")}ctorch._utils\n_rebuild_parameter\n)R`)],
    ["collections.OrderedDict.fromkeys", `\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.`],
  ])("refuses one that would run %s", (_, text) => {
    expect(() => read(text)).toThrow(FormatError);
    expect(() => read(text)).toThrow(
      /expected a pickle of tensors only, found one that would run ".*"; nothing was run/,
    );
  });

  it.each([
    ["an object built by its class", "\x80\x02ctorch\nHalfStorage\n)\x81."],
    ["an instance of protocol 1", "(i__main__\nThing\n."],
    ["an extension's code", "\x80\x02\x82\x01."],
    ["a persistent id as text", "\x80\x02Pstorage\n."],
    ["a number in text", "I42\n."],
    ["a list", "\x80\x02]."],
    ["a number", "\x80\x02K\x01."],
    ["a dictionary of numbers", dictionary(`${text("a")}K\x01`)],
    ["a name twice", dictionary(text("a") + tensor + text("a") + tensor)],
    ["a storage that is called", `\x80\x02ctorch\nHalfStorage\n)R.`],
    ["a reference to nothing", "\x80\x02h\x05."],
    ["an empty stack", "\x80\x02."],
    ["a missing mark", "\x80\x02}u."],
    ["protocol 1", "\x80\x01}."],
    ["a text past the end", "\x80\x02X\xff\xff\xff\x7fabc."],
  ])("refuses %s", (_, text) => {
    expect(() => read(text)).toThrow(FormatError);
  });

  it("is a FormatError when it is cut, at whatever byte", () => {
    const bytes = pickle(dictionary(text("a") + tensor));
    for (let end = 0; end < bytes.length; end++) {
      expect(() => readTensorPickle(bytes.subarray(0, end), "x"), `cut at ${end}`).toThrow(FormatError);
    }
  });

  it("reads, or is a FormatError, whatever the bytes", () => {
    const good = pickle(dictionary(text("a") + tensor));
    const changed = fc
      .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
      .map((changes) => {
        const bytes = good.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 60 })), (bytes) => {
        try {
          readTensorPickle(bytes, "x");
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
