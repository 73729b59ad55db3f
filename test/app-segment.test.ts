import { copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { countClasses, diceOf } from "../src/evaluate/overlap.ts";
import { loadModel, saveModel } from "../src/model/files.ts";
import { sampleModel } from "../src/model/sample.ts";
import { flat } from "../src/net/make.ts";
import { writeVolume } from "../src/volume/files.ts";
import type { Vec3, Volume } from "../src/volume/volume.ts";
import { chooseFiles, describeInBrowser, dropFiles, type OpenOptions, openPage, webgpuFlags } from "./app/harness.ts";
import {
  inFolder,
  open,
  patient,
  phantomModel,
  predicted,
  root,
  segment,
  small,
  status,
  turnedPhantom,
} from "./app/segmenting.ts";

const hippocampus = join(root, "../shared/data/hippocampus/imagesTr/hippocampus_003.nii.gz");

function dice(a: Volume, b: Volume, value: number): number {
  return diceOf(countClasses(a.data as Uint8Array, b.data as Uint8Array, 256)[value]);
}

describeInBrowser("segmenting in the page", () => {
  const scan = inFolder("turned.nii.gz");
  let truth: Volume;
  beforeAll(async () => {
    await writeVolume(scan, turnedPhantom());
    truth = await predicted(scan, phantomModel);
    expect(new Set(truth.data).size).toBe(3);
  });

  test.skipIf(!existsSync(hippocampus))(
    "a hippocampus and a model that are dropped give the command line's mask, voxel for voxel",
    async () => {
      const { page, errors, requests, url, close } = await open({}, [hippocampus, phantomModel]);
      await page.getByText("phantom.safetensors").waitFor();
      const { mask, line } = await segment(page, "wasm");
      expect(mask).toEqual(await predicted(hippocampus, phantomModel));
      expect(line).toMatch(/^wasm, \d+ threads?, [\d.]+ m?s, [\d.]+ MB$/);
      const second = inFolder("second.safetensors");
      copyFileSync(phantomModel, second);
      await dropFiles(page, "body", [second]);
      await page.getByText("Ensemble of 2.").waitFor();
      // The mean of two equal opinions is that opinion.
      await segment(page, "wasm").then((both) => expect(both.mask).toEqual(mask));
      expect(errors).toEqual([]);
      expect(requests.filter((address) => !address.startsWith(url) && !address.startsWith("blob:"))).toEqual([]);
      await close();
    },
  );

  test("threads where the page is isolated, one where it is not, and the same mask", async () => {
    const threads = await Promise.all(
      [true, false].map(async (isolated) => {
        const { page, close } = await open({ isolated }, [scan]);
        const { mask, line } = await segment(page);
        expect(mask).toEqual(truth);
        const processors = await page.evaluate(() => navigator.hardwareConcurrency);
        await close();
        return { processors, line };
      }),
    );
    expect(threads[0].line).toContain(
      threads[0].processors > 1 ? `wasm, ${threads[0].processors} threads,` : "wasm, 1 thread,",
    );
    expect(threads[1].line).toContain("wasm, 1 thread,");
  });

  test("without WebGPU, with it, and when its device is lost in the middle there is a mask", async (context) => {
    const absent = await open({}, [scan]);
    const plain = await segment(absent.page, "auto");
    expect(plain.words).toBe("This browser offers no WebGPU, so wasm computes.");
    await absent.close();

    const present = await open({ flags: webgpuFlags }, [scan]);
    const gpu = await segment(present.page, "auto");
    await present.close();
    if (gpu.words.includes("offers no WebGPU")) return context.skip("this Chromium has no WebGPU in software");
    expect(gpu.line).toMatch(/^WebGPU/);
    for (const value of [1, 2]) expect(dice(gpu.mask, truth, value)).toBeGreaterThanOrEqual(0.999);

    const breaking = `
      const ask = GPUAdapter.prototype.requestDevice;
      GPUAdapter.prototype.requestDevice = async function (...options) {
        const device = await ask.apply(this, options);
        const submit = device.queue.submit.bind(device.queue);
        let left = 1;
        device.queue.submit = (list) => {
          submit(list);
          if (--left === 0) device.destroy();
        };
        return device;
      };\n`;
    const edit: OpenOptions["edit"] = (path, content) =>
      path.includes("segment-worker") ? breaking + content : content;
    const lost = await open({ flags: webgpuFlags, edit }, [scan]);
    const again = await segment(lost.page, "auto");
    expect(again.mask).toEqual(truth);
    expect([again.line, again.words]).toEqual([
      expect.stringMatching(/^wasm/),
      expect.stringContaining("WebGPU stopped"),
    ]);
    await lost.close();
  });

  test("a head of 256 x 256 x 160 voxels goes window by window; cancel works, and then it ends", async () => {
    const shape: Vec3 = [160, 256, 256];
    const data = new Uint8Array(160 * 256 * 256);
    for (let d = 0, i = 0; d < 160; d++) {
      for (let h = 0; h < 256; h++) {
        const at = Math.hypot((d - 80) / 75, (h - 128) / 115);
        for (let w = 0; w < 256; w++, i++) if (Math.hypot(at, (w - 128) / 90) < 1) data[i] = 120 + ((d + h * w) % 17);
      }
    }
    const affine = Float64Array.of(1, 0, 0, -128, 0, 1, 0, -128, 0, 0, 1, -80, 0, 0, 0, 1);
    const head = inFolder("head.nii.gz");
    await writeVolume(head, { data, shape, affine });
    // Instance norm keeps to its windows.
    const net = flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2, unit: { norm: "instance" } });
    const model = sampleModel(net);
    const file = inFolder("window.safetensors");
    await saveModel(file, { ...model, plan: { ...model.plan, patch: [64, 128, 128] } });
    const { page, errors, close } = await open({}, [head, file]);
    await page.getByText("window.safetensors").waitFor();
    // The 3D view of so many voxels is slow without a graphics card.
    await page.locator("[data-shown]").waitFor();
    await page.getByRole("button", { name: "Axial" }).click();

    await page.getByRole("button", { name: "Segment", exact: true }).click();
    const windows = page.getByRole("progressbar", { name: "Windows done" });
    const done = () => windows.evaluate((bar: HTMLProgressElement) => bar.value);
    await expect.poll(done, { ...patient, interval: 20 }).toBeGreaterThan(0);
    const before = await done();
    await expect.poll(done, { ...patient, interval: 20 }).toBeGreaterThan(before);
    await page.getByRole("button", { name: "Cancel" }).click();
    expect(await status(page).locator("p").first().textContent()).toBe("Cancelled.");
    await page.getByRole("button", { name: "Segment", exact: true }).click();
    await page.locator("tr[data-label]").first().waitFor();
    expect(await status(page).locator("p").first().textContent()).toMatch(/^wasm, /);
    expect(errors).toEqual([]);
    await close();
  });
});

describeInBrowser("bad input", () => {
  test("gets one sentence each, and the page goes on", async () => {
    const write = (name: string, content: string | Uint8Array): string => {
      writeFileSync(inFolder(name), content);
      return inFolder(name);
    };
    const scan = inFolder("small.nii.gz");
    await writeVolume(scan, turnedPhantom());
    const model = await loadModel(phantomModel);
    const channels = [...model.plan.channels, { ...model.plan.channels[0], name: "T2" }];
    const two = sampleModel({ ...model.net, inputChannels: 2 });
    const twoFile = inFolder("two.safetensors");
    await saveModel(twoFile, { ...two, plan: { ...model.plan, channels } });
    const large = write("large.nii", "");
    truncateSync(large, 4e9);
    const cut = write("cut.nii.gz", new Uint8Array(readFileSync(scan)).slice(0, 5000));

    const { page, errors, close } = await openPage(small);
    await page.getByText("built in").waitFor();
    const said = () => page.getByRole("alert").last().textContent();
    for (const [path, sentence] of [
      [write("letter.txt", "hello"), "letter.txt is no scan; expected NIfTI"],
      [write("text.nii", "hello"), "text.nii"],
      [cut, "cut.nii.gz: compressed data is cut short"],
      [write("model.safetensors", "hello"), "model.safetensors"],
      [large, "large.nii has 4.0 GB, and a page reads files of up to 2.0 GB"],
    ]) {
      await chooseFiles(page, path.endsWith("safetensors") ? "Open model" : "Open files", path);
      await expect.poll(said, patient).toContain(sentence);
    }
    await dropFiles(page, "body", [scan, twoFile]);
    await page.locator("[data-shown]").waitFor();
    await page.getByRole("button", { name: "Segment", exact: true }).click();
    await expect.poll(said, patient).toMatch(/2 channels/);
    await page.getByRole("button", { name: "Built-in" }).click();
    await segment(page);
    expect(errors).toEqual([]);
    await close();
  });
});
