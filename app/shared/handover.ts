/** A model that one page leaves for another. */
export interface LeftModel {
  name: string;
  bytes: Uint8Array;
}

const [database, store, key] = ["lunet-models", "models", "trained"];

/** Leaves a model in the browser's own storage, in place of the one before. */
export async function leaveModel(model: LeftModel): Promise<void> {
  await inStore("readwrite", (models) => models.put(model, key));
}

/** The model that was left; null where there is none. */
export async function leftModel(): Promise<LeftModel | null> {
  return ((await inStore("readonly", (models) => models.get(key))) as LeftModel | undefined) ?? null;
}

async function inStore(mode: IDBTransactionMode, work: (models: IDBObjectStore) => IDBRequest): Promise<unknown> {
  const opening = indexedDB.open(database, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(store);
  const opened = (await done(opening)) as IDBDatabase;
  try {
    return await done(work(opened.transaction(store, mode).objectStore(store)));
  } finally {
    opened.close();
  }
}

function done(request: IDBRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
