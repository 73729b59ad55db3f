import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { labelMapOf } from "../src/dataset/segmentation.ts";
import { sliceFile } from "../src/dicom/dicom.fixture.ts";
import { readDicomVolume } from "../src/dicom/files.ts";
import { openSegmentationAt } from "../src/dicom/seg/files.ts";
import { loadModel, saveModel } from "../src/model/files.ts";
import { writeVolume } from "../src/volume/files.ts";
import { readNifti } from "../src/volume/nifti.ts";
import { chooseFiles, describeInBrowser, download, dropFiles, type OpenOptions, openPage } from "./app/harness.ts";
import { inFolder, open, patient, phantomModel, root, row, segment, small, turnedPhantom } from "./app/segmenting.ts";

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
    const [x, y] = [box.x + box.width * 0.45, box.y + box.height * 0.15];
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
    // The table is made anew, and the reader stays where they were.
    const shown = page.getByLabel("Show anterior");
    await shown.focus();
    await page.keyboard.press(" ");
    expect([await shown.isChecked(), await shown.evaluate((box) => box === document.activeElement)]).toEqual([
      false,
      true,
    ]);
    await page.keyboard.press("?");
    expect(await page.getByRole("dialog").getByText("undo; with Shift redo").isVisible()).toBe(true);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "All" }).click();
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

  test("the pen keeps to the mask's labels, and what is drawn while a run goes is asked for before it is replaced", async () => {
    const scan = inFolder("pen.nii.gz");
    await writeVolume(scan, turnedPhantom());
    const model = await loadModel(phantomModel);
    const labels = model.plan.labels.map(({ value, name }) => ({ value: 3 * value, name: `other ${name}` }));
    const other = inFolder("other.safetensors");
    await saveModel(other, { ...model, plan: { ...model.plan, labels } });
    // Holds the mask back until the page is told to go on.
    const hold = `{
      const post = self.postMessage.bind(self);
      self.postMessage = (message, ...more) => {
        if (message.type !== "done") return post(message, ...more);
        new BroadcastChannel("go").onmessage = () => post(message, ...more);
        post({ type: "word", sentence: "held" });
      };
    }\n`;
    const edit: OpenOptions["edit"] = (path, content) => (path.includes("segment-worker") ? hold + content : content);
    const { page, errors, close } = await open({ edit }, [scan]);
    const go = () => page.evaluate(() => new BroadcastChannel("go").postMessage(""));
    const run = async (): Promise<void> => {
      await page.getByRole("button", { name: "Segment", exact: true }).click();
      await page.getByText("held").waitFor();
    };
    const count = async (): Promise<number> =>
      Number(await row(page, "anterior").locator("td.number").nth(1).textContent());
    const draw = async (): Promise<void> => {
      const box = (await page.locator("canvas").boundingBox())!;
      await page.mouse.click(box.x + box.width * 0.45, box.y + box.height * 0.1);
    };
    await page.locator("[data-shown]").waitFor();
    await page.getByRole("button", { name: "Axial" }).click();
    await page.keyboard.press("d");
    await draw();
    const drawn = await count();
    expect(drawn).toBeGreaterThan(0);

    await page.keyboard.press("Control+z");
    await dropFiles(page, "body", [other]);
    await page.getByText("Finds other anterior").waitFor();
    expect(await page.getByLabel("Label to draw").inputValue()).toBe("1");
    await draw();
    expect(await count()).toBe(drawn);
    await page.keyboard.press("Control+z");
    await page.getByRole("button", { name: "Built-in" }).click();
    await page.getByText("Finds anterior").waitFor();

    await run();
    await draw();
    await go();
    const dialog = page.getByRole("dialog", { name: "Corrections were drawn while this ran." });
    await dialog.getByRole("button", { name: "Go back" }).click();
    expect(await count()).toBe(drawn);
    await page.keyboard.press("Control+z");
    await run();
    await draw();
    await go();
    await dialog.getByRole("button", { name: "Replace them by the new mask" }).click();
    await expect.poll(count, patient).toBeGreaterThan(10 * drawn);
    expect(errors).toEqual([]);
    await close();
  });

  test("a reference that is chosen is measured and can be taken away", async () => {
    const scan = inFolder("reference-scan.nii.gz");
    await writeVolume(scan, turnedPhantom());
    const { page, errors, close } = await open({}, [scan]);
    const { mask } = await segment(page);
    const reference = inFolder("reference.nii.gz");
    await writeVolume(reference, mask);
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
