/** A hash of bytes that come piece by piece. */
export interface Hasher {
  update(bytes: Uint8Array): unknown;
  /** 64 hexadecimal digits. Nothing can be added after it. */
  hex(): string;
}

/** SHA-256: in Node OpenSSL's, which has the processor's own instructions and is ten times as fast. */
export function createSha256(): Hasher {
  const hash = globalThis.process?.getBuiltinModule?.("node:crypto").createHash("sha256");
  return hash ? { update: (bytes) => hash.update(bytes), hex: () => hash.digest("hex") } : new Sha256();
}

/**
 * SHA-256. (The browsers' own, crypto.subtle, takes all bytes at once only, which a model's file
 * is too long for; it hashes the segments that files are kept in.)
 *
 * Source: FIPS 180-4, sections 4.1.2, 4.2.2, 5.1.1, 5.3.3 and 6.2
 */
export class Sha256 implements Hasher {
  readonly #state = Int32Array.from(firstPrimes(8), (prime) => fraction(Math.sqrt(prime)));
  readonly #block = new Uint8Array(blockBytes);
  readonly #blockView = new DataView(this.#block.buffer);
  readonly #schedule = new Int32Array(rounds);
  #length = 0;

  update(bytes: Uint8Array): this {
    let at = 0;
    const filled = this.#length % blockBytes;
    this.#length += bytes.length;
    if (filled > 0) {
      at = Math.min(blockBytes - filled, bytes.length);
      this.#block.set(bytes.subarray(0, at), filled);
      if (filled + at < blockBytes) return this;
      this.#compress(this.#blockView, 0);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (; at + blockBytes <= bytes.length; at += blockBytes) this.#compress(view, at);
    this.#block.set(bytes.subarray(at));
    return this;
  }

  hex(): string {
    const bits = this.#length * 8;
    const padding = new Uint8Array(blockBytes - ((this.#length + 8) % blockBytes) + 8);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(padding.length - 4, bits);
    this.update(padding);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #compress(view: DataView, at: number): void {
    const w = this.#schedule;
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + 4 * i);
    for (let i = 16; i < rounds; i++) {
      const w15 = w[i - 15]!;
      const w2 = w[i - 2]!;
      const s0 = ((w15 >>> 7) | (w15 << 25)) ^ ((w15 >>> 18) | (w15 << 14)) ^ (w15 >>> 3);
      const s1 = ((w2 >>> 17) | (w2 << 15)) ^ ((w2 >>> 19) | (w2 << 13)) ^ (w2 >>> 10);
      w[i] = (w[i - 16]! + s0 + w[i - 7]! + s1) | 0;
    }
    // plain variables and not the array in the loop: several times as fast
    const state = this.#state;
    let a = state[0]!;
    let b = state[1]!;
    let c = state[2]!;
    let d = state[3]!;
    let e = state[4]!;
    let f = state[5]!;
    let g = state[6]!;
    let h = state[7]!;
    for (let i = 0; i < rounds; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + constants[i]! + w[i]!) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0]! += a;
    state[1]! += b;
    state[2]! += c;
    state[3]! += d;
    state[4]! += e;
    state[5]! += f;
    state[6]! += g;
    state[7]! += h;
  }
}

const blockBytes = 64;
const rounds = 64;

/** The first 32 bits of the fractional parts of the first primes' cube roots. */
const constants = Int32Array.from(firstPrimes(rounds), (prime) => fraction(Math.cbrt(prime)));

function fraction(root: number): number {
  return Math.floor((root % 1) * 2 ** 32);
}

function firstPrimes(count: number): number[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return primes;
}
