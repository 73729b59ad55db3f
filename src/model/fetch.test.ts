import { afterEach, expect, test, vi } from "vitest";
import { flat } from "../net/make.ts";
import { loadModel } from "./fetch.ts";
import { modelToBytes } from "./file.ts";
import { sampleModel } from "./sample.ts";

const model = sampleModel(flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 }));
const bytes = modelToBytes(model);
afterEach(() => {
  vi.unstubAllGlobals();
});

test("a model comes from bytes, a file or an address", async () => {
  const answers = vi.fn(async (at: string | URL) =>
    String(at).endsWith("model") ? new Response(bytes) : new Response("", { status: 404 }),
  );
  vi.stubGlobal("fetch", answers);
  for (const source of [bytes, new Blob([bytes]), "/model", new URL("https://example.org/model")]) {
    expect(await loadModel(source)).toEqual(model);
  }
  await expect(loadModel("/nothing")).rejects.toThrow(
    "Expected a model file at /nothing, but the server answered 404; check the address.",
  );
  await expect(loadModel(new File(["x"], "scan.nii"))).rejects.toThrow("scan.nii has only 1 bytes");
});
