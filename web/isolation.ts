/// <reference types="vite/client" />

const key = "cria-isolating";

/**
 * Has a service worker keep the page for use offline and, where its host does not send the headers that isolate it (which shared memory
 * and so threads need), set them. That takes effect with the next loading, which follows at once.
 */
export async function setUpServiceWorker(): Promise<void> {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register(new URL("isolation.js", document.baseURI));
  await navigator.serviceWorker.ready;
  // where once was not enough the browser does not isolate, and twice would be no different
  if (crossOriginIsolated) sessionStorage.removeItem(key);
  else if (!sessionStorage.getItem(key)) {
    sessionStorage.setItem(key, "yes");
    location.reload();
  }
}
