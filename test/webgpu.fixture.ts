import { existsSync } from "node:fs";
import { describe } from "vitest";

/** Where Debian's chromium package has SwiftShader, a GPU in software. */
const swiftShader = "/usr/lib/chromium/vk_swiftshader_icd.json";
// The Vulkan loader reads it when the first adapter is asked for. A driver that was chosen from outside stays.
if (existsSync(swiftShader)) process.env.VK_ICD_FILENAMES ??= swiftShader;

const { gpu, missing } = await import("webgpu").then(
  ({ create }) => ({ gpu: create([]), missing: "" }),
  (error: Error) => ({ gpu: null, missing: error.message }),
);
const adapter = await gpu?.requestAdapter();

/** A device of its own, on SwiftShader where it is installed. */
export async function newDevice(): Promise<GPUDevice> {
  // An adapter gives one device only; without `gpu` it would be gone at the next collection of garbage.
  return (await gpu!.requestAdapter())!.requestDevice();
}

/** `describe` for tests on a GPU; skipped, with the reason in the title, where there is none. */
export const describeOnGpu = adapter
  ? describe
  : (title: string, body: () => void): void => {
      describe.skip(
        `${title} (skipped: ${missing || "no graphics adapter; Debian's chromium and libvulkan1 have one in software"})`,
        body,
      );
    };
