import { commonLength, type Past } from "../generate/positions.js";
import { cacheBytes, readCache, writeCache } from "../model/cache-rows.js";
import type { OnLayer } from "../model/layer-state.js";
import type { Llama } from "../model/llama.js";

/** Keys and values that have been copied out of the cache, and the ids that they belong to. */
export interface PastCopy {
  readonly ids: readonly number[];
  readonly rows: Uint8Array;
}

/**
 * Lends the model's one cache to owners, texts that are worked on by turns. What it holds for one is copied out before another gets it,
 * and comes back with its owner; and whatever is known of the beginning of a text, from any of them, is not computed again. All of
 * this saves time only: what is lost is computed anew, to the same bits.
 */
export interface PastKeeper {
  /**
   * Gives the cache to an owner. Afterwards it holds as much as is known of what `ids` begin with, and nothing else. Nothing is kept
   * of an owner that has not been `open`ed.
   */
  take(owner: number, ids: readonly number[]): Past;
  /**
   * Gives the cache to an owner who has it computed with a hook: empty, so that the hook sees all of a text. What it holds then is not
   * the model's own, and so nobody is given it afterwards, not even the owner.
   */
  lend(owner: number, onLayer: OnLayer): Past;
  /** Whether the owner has the cache. */
  has(owner: number): boolean;
  open(owner: number): void;
  /** Keeps a copy for an owner that is open. Throws as writeCache does for one of another size. */
  keep(owner: number, copy: PastCopy): void;
  /** Copies what the cache holds. */
  copy(): PastCopy;
  /** Forgets an owner's copy. */
  forget(owner: number): void;
}

export function createPastKeeper(llama: Llama): PastKeeper {
  const past: Past = { llama, ids: [] };
  const open = new Set<number>();
  const copies = new Map<number, PastCopy>();
  let owner: number | undefined;

  const copy = (): PastCopy => ({ ids: past.ids.slice(), rows: readCache(llama, past.ids.length) });

  function putAside(): void {
    if (owner === undefined || !open.has(owner) || past.ids.length === 0) return;
    try {
      copies.set(owner, copy());
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // no memory for it: it is computed again
    }
  }

  return {
    take(next, ids) {
      if (next !== owner) putAside();
      let best: PastCopy | undefined;
      let most = commonLength(past.ids, ids);
      for (const known of copies.values()) {
        const common = commonLength(known.ids, ids);
        if (common > most) [best, most] = [known, common];
      }
      if (best) {
        past.ids = []; // should the copying throw
        writeCache(llama, best.rows, best.ids.length, most);
        past.ids = best.ids.slice(0, most);
      }
      past.ids.length = most;
      copies.delete(next);
      owner = next;
      return past;
    },
    lend(next, onLayer) {
      putAside();
      past.ids = [];
      owner = next;
      return { llama, ids: [], onLayer };
    },
    has: (someone) => someone === owner,
    open: (someone) => void open.add(someone),
    keep(someone, { ids, rows }) {
      const expected = cacheBytes(llama, ids.length);
      if (rows.length !== expected || ids.length > llama.plan.contextLength) {
        throw new RangeError(
          `Cannot keep ${ids.length} positions: expected ${expected} bytes and at most ${llama.plan.contextLength} positions, found ${rows.length} bytes`,
        );
      }
      copies.set(someone, { ids, rows });
    },
    copy,
    forget(someone) {
      open.delete(someone);
      copies.delete(someone);
    },
  };
}
