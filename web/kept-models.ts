import { type CachedFile, type ModelCache, openModelCache } from "../runtime/index.js";
import { bytesText, element, make, nameIn } from "./dom.js";

/** The list of the model files that are kept on this device. */
export interface KeptModels {
  /** Shows what is kept now. */
  refresh(): Promise<void>;
}

/** @param onLoad loads the model of an address */
export function setUpKeptModels(onLoad: (url: string) => void): KeptModels {
  const details = element("kept", HTMLDetailsElement);
  const summary = element("kept-summary", HTMLElement);
  const list = element("kept-list", HTMLElement);

  async function refresh(): Promise<void> {
    const cache = await openModelCache().catch(() => undefined); // a browser that keeps nothing for this page
    const files = (await cache?.list()) ?? [];
    let bytes = 0;
    for (const { cachedBytes } of files) bytes += cachedBytes;
    details.hidden = files.length === 0;
    summary.textContent = `Kept on this device: ${bytesText(bytes)}`;
    list.replaceChildren(...files.map((file) => rowOf(file, cache!)));
  }

  function rowOf({ url, size, cachedBytes, isWhole }: CachedFile, cache: ModelCache): HTMLElement {
    const name = nameIn(url);
    const kept = isWhole ? bytesText(size) : `${bytesText(cachedBytes)} of ${bytesText(size)}`;
    const load = button("Load", name, () => onLoad(url));
    const remove = button("Delete", name, async () => {
      await cache.delete(url);
      await refresh();
      if (!details.hidden) summary.focus(); // what had the focus is gone
    });
    return make("li", "", make("span", "name", name), make("span", "hint", kept), load, remove);
  }

  return { refresh };
}

function button(label: string, of: string, act: () => void): HTMLButtonElement {
  const made = make("button", "quiet", label);
  made.type = "button";
  made.ariaLabel = `${label} ${of}`;
  made.addEventListener("click", act);
  return made;
}
