import { contentPolicy, isolationHeaders } from "./headers.ts";

/** What a service worker has beside a page's globals, as far as it is used here. */
interface Scope {
  skipWaiting(): Promise<void>;
  clients: { claim(): Promise<void> };
  location: Location;
  addEventListener(
    type: "install" | "activate",
    listener: (event: { waitUntil(work: Promise<unknown>): void }) => void,
  ): void;
  addEventListener(
    type: "fetch",
    listener: (event: { request: Request; respondWith(answer: Promise<Response>): void }) => void,
  ): void;
}
declare const __FILES__: string[];

const scope = self as unknown as Scope;
const files: string[] = __FILES__;
const cacheName = "lunet-__KEY__";

scope.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(cacheName);
      // Pages must come as they are now; the other names hold a hash, or change with the key.
      await cache.addAll(files.map((file) => new Request(file, { cache: "no-cache" })));
      await scope.skipWaiting();
    })(),
  );
});

scope.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith("lunet-") && name !== cacheName) await caches.delete(name);
      }
      await scope.clients.claim();
    })(),
  );
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  const folder = new URL("./", scope.location.href).pathname;
  if (request.method !== "GET" || origin !== scope.location.origin || !pathname.startsWith(folder)) return;
  const file = pathname.slice(folder.length) || "index.html";
  if (files.includes(file)) event.respondWith(answer(file, request));
});

/** From the cache, else the network, with the headers that a plain web server does not send. */
async function answer(file: string, request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  const found = (await cache.match(file)) ?? (await fetch(request));
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(isolationHeaders)) headers.set(name, value);
  headers.set("Content-Security-Policy", contentPolicy);
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}
