import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makePhantom } from "../src/dataset/phantom.ts";
import { labelMapOf } from "../src/dataset/segmentation.ts";
import { sliceFile } from "../src/dicom/dicom.fixture.ts";
import { readDicomVolume } from "../src/dicom/files.ts";
import { openSegmentationAt } from "../src/dicom/seg/files.ts";
import { countClasses, diceOf } from "../src/evaluate/overlap.ts";
import { loadModel, saveModel } from "../src/model/files.ts";
import { sampleModel } from "../src/model/sample.ts";
import { flat } from "../src/net/make.ts";
import { readVolume, writeVolume } from "../src/volume/files.ts";
import { readNifti } from "../src/volume/nifti.ts";
import { reorient } from "../src/volume/orientation.ts";
import type { Vec3, Volume } from "../src/volume/volume.ts";
import {
  chooseFiles,
  describeInBrowser,
  download,
  dropFiles,
  type OpenOptions,
  openPage,
  webgpuFlags,
} from "./app/harness.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const hippocampus = join(root, "../shared/data/hippocampus/imagesTr/hippocampus_003.nii.gz");
const phantomModel = join(root, "app/public/phantom.safetensors");
const folder = mkdtempSync(join(tmpdir(), "lunet-app-data-"));
afterAll(() => rmSync(folder, { recursive: true }));
const inFolder = (name: string): string => join(folder, name);

/** A scan of the built-in model's kind, on a turned grid. */
function turnedPhantom(): Volume {
  return reorient(makePhantom(3, 0, { shape: [20, 40, 24] }).image, "PIL");
}

/** What `lunet predict` makes of a scan. */
async function predicted(scan: string, model: string): Promise<Volume> {
  const out = inFolder(`out-${Math.random()}`);
  const done = spawnSync(process.execPath, [
    join(root, "bin/lunet.mjs"),
    "predict",
    scan,
    "--model",
    model,
    "--out",
    out,
  ]);
  expect(done.status, String(done.stderr)).toBe(0);
  return readVolume(join(out, scan.slice(scan.lastIndexOf("/") + 1)));
}

/** A small window: what a graphics card draws at once takes a processor a while. */
const small = { viewport: { width: 1000, height: 560 } };

/** Only to end what hangs. */
const patient = { timeout: 100_000 };

const row = (page: Page, label: string) => page.locator(`tr[data-label="${label}"]`);
const status = (page: Page) => page.getByRole("region", { name: "Segmentation" });

async function open(options: OpenOptions, files: string[]) {
  const opened = await openPage({ ...small, ...options });
  await opened.page.getByText("built in").waitFor();
  await dropFiles(opened.page, "body", files);
  return opened;
}

/** Segments what is open, and gives the mask that the page saves and the line on engine, time and memory. */
async function segment(page: Page, engine = "auto"): Promise<{ mask: Volume; line: string; words: string }> {
  await page.locator("[data-shown]").waitFor();
  await page.getByLabel("Engine").selectOption(engine);
  await page.getByRole("button", { name: "Segment", exact: true }).click();
  const said = () => status(page).locator("p").allTextContents();
  await expect.poll(said, patient).toEqual([expect.stringMatching(/^(wasm|WebGPU)/), expect.anything()]);
  const [line, words] = await said();
  const { bytes } = await download(page, "Save NIfTI");
  return { mask: (await readNifti(bytes, "saved")).volumes[0], line, words };
}

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

describeInBrowser("correcting and saving in the page", () => {
  test("a stroke changes volumes and Dice, undo takes it back, and what is saved is what is shown", async () => {
    const { page, errors, close } = await openPage(small);
    await page.getByRole("button", { name: "Phantom scan" }).first().click();
    const { mask } = await segment(page);
    const cells = () => row(page, "anterior").locator("td.number").allTextContents();
    const first = await cells();
    expect(Number(first[2])).toBeGreaterThan(0.8); // Dice against the phantom's truth
    await page.keyboard.press("d");
    const box = (await page.locator("canvas").boundingBox())!;
    const [x, y] = [box.x + box.width * 0.25, box.y + box.height * 0.2];
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + 40, y + 10, { steps: 4 });
    await page.mouse.up();
    const drawn = await cells();
    expect(Number(drawn[1])).toBeGreaterThan(Number(first[1]));
    expect(drawn[2]).not.toBe(first[2]);
    const saved = (await readNifti((await download(page, "Save NIfTI")).bytes, "saved")).volumes[0];
    const changed = [...saved.data].filter((value, i) => value !== mask.data[i]).length;
    expect(changed).toBeGreaterThan(0);
    expect([...saved.data].filter((value) => value === 1).length).toBe(Number(drawn[1]));
    await page.keyboard.press("Control+z");
    expect(await cells()).toEqual(first);
    await page.keyboard.press("Control+Shift+z");
    expect(await cells()).toEqual(drawn);
    await page.getByRole("button", { name: "Segment", exact: true }).click();
    await page.getByRole("dialog", { name: "The corrections of this mask are not saved." }).waitFor();
    await page.getByRole("button", { name: "Go back" }).click();
    expect(await cells()).toEqual(drawn);
    expect(errors).toEqual([]);
    await close();
  });

  test("keys move slices, fade and hide the mask, and are told", async () => {
    const { page, close } = await openPage(small);
    await page.getByRole("button", { name: "Phantom scan" }).first().click();
    await segment(page);
    const slice = async () => Number(/voxel \d+ \d+ (\d+)/.exec((await page.locator(".place").textContent())!)![1]);
    const start = await slice();
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowRight");
    expect(await slice()).toBe(start + 2);
    await page.keyboard.press("Shift+ArrowDown");
    expect(await slice()).toBe(start - 8);
    const opacity = page.getByLabel("Opacity of the mask");
    const before = Number(await opacity.inputValue());
    await page.keyboard.press("[");
    expect(Number(await opacity.inputValue())).toBe(before - 10);
    await page.locator("canvas").focus();
    await page.keyboard.press(" ");
    expect(await page.getByLabel("Show", { exact: true }).isChecked()).toBe(false);
    await page.keyboard.press("]");
    expect([await opacity.inputValue(), await page.getByLabel("Show", { exact: true }).isChecked()]).toEqual([
      String(before),
      true,
    ]);
    await page.keyboard.press("?");
    expect(await page.getByRole("dialog").getByText("undo; with Shift redo").isVisible()).toBe(true);
    await page.keyboard.press("Escape");
    // The wheel over the coronal view changes its own slice.
    const box = (await page.locator("canvas").boundingBox())!;
    const coronal = async () => Number(/voxel \d+ (\d+) \d+/.exec((await page.locator(".place").textContent())!)![1]);
    const from = await coronal();
    await page.mouse.move(box.x + box.width * 0.25, box.y + box.height * 0.2);
    await page.mouse.wheel(0, 120);
    await expect.poll(coronal, patient).not.toBe(from);
    await close();
  });

  test("the mask of a DICOM series is saved as DICOM SEG on its slices; of two series the page asks which", async () => {
    const slices = inFolder("dicom");
    mkdirSync(slices);
    for (let k = 0; k < 3; k++) writeFileSync(join(slices, `a${k}.dcm`), sliceFile(k));
    for (let k = 0; k < 2; k++) {
      const other = {
        "0020000E UI": "1.2.3.99",
        "00200011 IS": "9",
        "0008103E LO": "Other",
        "00080018 UI": `1.2.9.${k}`,
      };
      writeFileSync(join(slices, `b${k}.dcm`), sliceFile(k, other));
    }
    const { page, errors, close } = await openPage(small);
    await chooseFiles(page, "Open folder", slices);
    const dialog = page.getByRole("dialog", { name: "2 scans were found" });
    await dialog.getByRole("button", { name: "3 files" }).click();
    await page.locator("[data-shown]").waitFor();
    await page.getByRole("button", { name: "Axial" }).click();
    await page.keyboard.press("d");
    const box = (await page.locator("canvas").boundingBox())!;
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    const voxels = Number(await row(page, "anterior").locator("td.number").nth(1).textContent());
    expect(voxels).toBeGreaterThan(0);
    const { name, bytes } = await download(page, "Save DICOM SEG");
    expect(name).toMatch(/_mask\.dcm$/);
    expect(new TextDecoder("latin1").decode(bytes)).toContain("SEMIAUTOMATIC"); // it was drawn by hand
    const file = inFolder("mask.dcm");
    writeFileSync(file, bytes);
    const back = await labelMapOf((await openSegmentationAt(file))!);
    const plain = (await readNifti((await download(page, "Save NIfTI")).bytes, "saved")).volumes[0];
    expect([...back.data]).toEqual([...plain.data]);
    expect([...back.data].filter((value) => value === 1).length).toBe(voxels);
    await chooseFiles(page, "Compare with ...", file);
    await page.getByText("only in the reference").waitFor();
    expect(await row(page, "anterior").locator("td.number").nth(2).textContent()).toBe("1.000");
    expect(errors).toEqual([]);
    await close();
  });

  const packed = [
    "JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91",
    "JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80",
  ]
    .map((syntax) => join(root, `../shared/data/formats/ct_slice_syntaxes/CTImage.dcm_${syntax}.dcm`))
    .filter((path) => existsSync(path));
  test.skipIf(packed.length === 0)("compressed DICOM is unpacked by decoders of the page's own", async () => {
    const { page, errors, close } = await openPage(small);
    for (const path of packed) {
      const { data, shape } = await readDicomVolume(path);
      await chooseFiles(page, "Open files", path);
      // Rows run from the front backwards: in canonical orientation the middle voxel is that of row 255.
      const middle = data[(shape[1] / 2 - 1) * shape[2] + shape[2] / 2 - 1];
      await page.getByText(`value ${middle}`).waitFor();
      await page.reload();
    }
    expect(errors).toEqual([]);
    await close();
  });

  test("a reference that is chosen is measured and can be taken away", async () => {
    const scan = inFolder("reference-scan.nii.gz");
    await writeVolume(scan, turnedPhantom());
    const truth = await predicted(scan, phantomModel);
    const reference = inFolder("reference.nii.gz");
    await writeVolume(reference, truth);
    const { page, errors, close } = await open({}, [scan]);
    await segment(page);
    await chooseFiles(page, "Compare with ...", reference);
    await page.getByText("only in the reference").waitFor();
    expect(await row(page, "posterior").locator("td.number").nth(2).textContent()).toBe("1.000");
    const surface = page.getByRole("button", { name: "Surface of anterior" });
    await surface.click();
    await expect.poll(() => surface.getAttribute("aria-pressed"), patient).toBe("true");
    await page.getByRole("button", { name: "remove" }).click();
    expect(await row(page, "posterior").locator("td.number").count()).toBe(3);
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
