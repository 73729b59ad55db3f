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
/** Other copies of the app may live in other folders of the same server. */
const folder = new URL("./", scope.location.href).pathname;
const prefix = `lunet ${folder} `;
const cacheName = `${prefix}__KEY__`;

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
      // Pages that are open still ask for pieces of the build that they came with: the last one stays until the next comes.
      const old = (await caches.keys()).filter((name) => name.startsWith(prefix) && name !== cacheName);
      for (const name of old.slice(0, -1)) await caches.delete(name);
      await scope.clients.claim();
    })(),
  );
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== scope.location.origin || !pathname.startsWith(folder)) return;
  const file = pathname.slice(folder.length) || "index.html";
  if (files.includes(file) || file.startsWith("assets/")) event.respondWith(answer(file, request));
});

/** From this build, else an earlier one, else the network, with the headers that a plain web server does not send. */
async function answer(file: string, request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  const found = (await cache.match(file)) ?? (await earlier(file)) ?? (await fetch(request));
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(isolationHeaders)) headers.set(name, value);
  headers.set("Content-Security-Policy", contentPolicy);
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}

async function earlier(file: string): Promise<Response | undefined> {
  for (const name of await caches.keys()) {
    const found = name.startsWith(prefix) ? await (await caches.open(name)).match(file) : undefined;
    if (found) return found;
  }
  return undefined;
}
