// The service worker: keeps the files of the site, which are listed above with a mark of their contents, for visits
// without a network. A new site has another mark, and is used from the next visit on.

/* global MARK, FILES */
const scope = new URL("./", location), ours = `visketch ${scope.pathname} `, name = ours + MARK;

addEventListener("install", (event) => {
  const requests = FILES.map((file) => new Request(new URL(file, scope), { cache: "no-cache" }));
  event.waitUntil(caches.open(name).then((cache) => cache.addAll(requests)));
});

addEventListener("activate", (event) => {
  const old = async () => {
    for (const other of await caches.keys()) if (other.startsWith(ours) && other !== name) await caches.delete(other);
    await clients.claim();
  };
  event.waitUntil(old());
});

addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || !event.request.url.startsWith(scope)) return;
  const kept = async () => {
    const cache = await caches.open(name);
    return (await cache.match(event.request, { ignoreSearch: true })) ?? fetch(event.request);
  };
  event.respondWith(kept());
});
