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
  /** Lets go of the model and of all copies. */
  clear(): void;
}

export function createPastKeeper(llama: Llama): PastKeeper {
  const { config, plan } = llama;
  // the only way to the model from here, so that it goes with it
  let held: Past | undefined = { llama, ids: [] };
  const open = new Set<number>();
  const copies = new Map<number, PastCopy>();
  let owner: number | undefined;

  function past(): Past {
    if (held) return held;
    throw new Error("Cannot go on: the model has been disposed of");
  }

  function copy(): PastCopy {
    const { llama, ids } = past();
    return { ids: ids.slice(), rows: readCache(llama, ids.length) };
  }

  function putAside({ ids }: Past): void {
    if (owner === undefined || !open.has(owner) || ids.length === 0) return;
    try {
      copies.set(owner, copy());
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // no memory for it: it is computed again
    }
  }

  return {
    take(next, ids) {
      const now = past();
      if (next !== owner) putAside(now);
      let best: PastCopy | undefined;
      let most = commonLength(now.ids, ids);
      for (const known of copies.values()) {
        const common = commonLength(known.ids, ids);
        if (common > most) [best, most] = [known, common];
      }
      if (best) {
        now.ids = []; // should the copying throw
        writeCache(now.llama, best.rows, best.ids.length, most);
        now.ids = best.ids.slice(0, most);
      }
      now.ids.length = most;
      copies.delete(next);
      owner = next;
      return now;
    },
    lend(next, onLayer) {
      const now = past();
      putAside(now);
      now.ids = [];
      owner = next;
      return { llama: now.llama, ids: [], onLayer };
    },
    has: (someone) => someone === owner,
    open: (someone) => void open.add(someone),
    keep(someone, { ids, rows }) {
      const expected = cacheBytes({ config, plan }, ids.length);
      if (rows.length !== expected || ids.length > plan.contextLength) {
        throw new RangeError(
          `Cannot keep ${ids.length} positions: expected ${expected} bytes and at most ${plan.contextLength} positions, found ${rows.length} bytes`,
        );
      }
      copies.set(someone, { ids, rows });
    },
    copy,
    forget(someone) {
      open.delete(someone);
      copies.delete(someone);
    },
    clear() {
      held = undefined;
      copies.clear();
      open.clear();
    },
  };
}
