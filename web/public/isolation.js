// Gives the page the headers that isolate it, on hosts that send none, and keeps it for use offline. The scope is its own folder.

const cacheName = "cria-page";
const assets = new URL("assets/", registration.scope).href;

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { request } = event;
  // models are none of its business: the page keeps those elsewhere, and reads them in ranges
  if (request.method === "GET" && isOfPage(request)) event.respondWith(answer(request));
});

/** The page, and what its build has made. */
function isOfPage({ url, mode, destination, headers }) {
  if (new URL(url).origin !== location.origin || headers.has("range")) return false;
  return mode === "navigate" || destination !== "" || url.startsWith(assets);
}

async function answer(request) {
  const cache = await caches.open(cacheName);
  try {
    const response = await fetch(request);
    if (response.status === 200) await keep(cache, request, response.clone());
    return isolated(response);
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: request.mode === "navigate" });
    if (kept) return isolated(kept);
    throw error;
  }
}

/** A page that has changed brings assets of other names, so those of the page before are let go. */
async function keep(cache, request, response) {
  if (request.mode === "navigate") {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept && (await kept.text()) !== (await response.clone().text())) {
      for (const old of await cache.keys()) await cache.delete(old);
    }
  }
  await cache.put(request, response);
}

function isolated(response) {
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  const { status, statusText } = response;
  // a response with one of these may have no body
  const body = [101, 204, 205, 304].includes(status) ? null : response.body;
  return new Response(body, { status, statusText, headers });
}
