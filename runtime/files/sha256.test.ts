import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Sha256 } from "./sha256.js";

/** The oracle: OpenSSL's. */
const reference = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

describe("Sha256", () => {
  it("gives the values that FIPS 180-4's examples have", () => {
    const hash = (text: string) => new Sha256().update(new TextEncoder().encode(text)).hex();
    expect(hash("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).toBe(
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    );
  });

  it("agrees with OpenSSL at every length around the block's and the padding's", () => {
    for (let length = 0; length <= 200; length++) {
      const bytes = Uint8Array.from({ length }, (_, i) => i * 7);
      expect(new Sha256().update(bytes).hex(), `${length} bytes`).toBe(reference(bytes));
    }
  });

  it("does not depend on how the bytes are cut, nor on where they lie in their buffer", () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 });
    fc.assert(
      fc.property(pieces, fc.nat(9), (pieces, offset) => {
        const hash = new Sha256();
        for (const piece of pieces) {
          const shifted = new Uint8Array(offset + piece.length).subarray(offset);
          shifted.set(piece);
          hash.update(shifted);
        }
        expect(hash.hex()).toBe(reference(Buffer.concat(pieces)));
      }),
    );
  });

  it("counts bits beyond 32 of them", () => {
    const bytes = new Uint8Array(2 ** 24).fill(0xa5);
    const hash = new Sha256();
    const expected = createHash("sha256");
    for (let i = 0; i < 33; i++) {
      hash.update(bytes);
      expected.update(bytes);
    }
    expect(hash.hex()).toBe(expected.digest("hex"));
  });
});
