import { fail } from "../util/errors.ts";
import { readModel } from "./file.ts";
import type { Model } from "./types.ts";

/**
 * Reads a model file in a browser: from an address, a file that the user chose, or its bytes. Throws UserError where there is none or it is
 * no model; what the network throws is passed on.
 */
export async function loadModel(source: string | URL | Blob | Uint8Array): Promise<Model> {
  if (source instanceof Uint8Array) return readModel(source, "the model");
  if (source instanceof Blob) {
    const name = "name" in source ? String(source.name) : "the model";
    return readModel(new Uint8Array(await source.arrayBuffer()), name);
  }
  const answer = await fetch(source);
  if (!answer.ok)
    fail(`Expected a model file at ${source}, but the server answered ${answer.status}; check the address.`);
  return readModel(new Uint8Array(await answer.arrayBuffer()), String(source));
}
