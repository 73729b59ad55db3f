import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { describeInBrowser, looks, openPage } from "./app/harness.ts";

/** What the first visit may load, gzipped: the page, and all that it keeps for use without a network. */
const firstLoad = 1_500_000;

describeInBrowser("the shell of the app", () => {
  test("colours follow the system until the reader chooses, and the choice stays", async () => {
    const { page, errors, close } = await openPage({ colours: "dark" });
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    expect(await theme()).toBe("dark");
    await page.getByRole("button", { name: "Change to light colours" }).click();
    expect(await theme()).toBe("light");
    await page.reload();
    expect(await theme()).toBe("light");
    expect(errors).toEqual([]);
    await close();
  });

  test("a plain web server is enough: the first load is small, and then it works offline, isolated and from its own origin alone", async () => {
    const sent = new Map<string, number>();
    const edit = (path: string, content: Buffer): Buffer => {
      sent.set(path, gzipSync(content).length);
      return content;
    };
    const { page, context, requests, errors, url, close } = await openPage({
      viewport: { width: 800, height: 480 },
      isolated: false,
      offline: true,
      edit,
    });
    await page.getByText("Works offline · 1 thread").waitFor();
    expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(false);
    const bytes = [...sent.values()].reduce((sum, size) => sum + size, 0);
    expect(sent.size).toBeGreaterThan(10);
    expect(bytes).toBeLessThan(firstLoad);

    await context.setOffline(true);
    await page.reload();
    expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true);
    await page.getByRole("button", { name: "Phantom scan" }).first().click();
    await page.locator("[data-shown]").waitFor();
    await page.getByRole("button", { name: "Segment", exact: true }).click();
    await page.locator("tr[data-label]").first().waitFor();
    const processors = await page.evaluate(() => navigator.hardwareConcurrency);
    const threads = processors > 1 ? `wasm, ${processors} threads,` : "wasm, 1 thread,";
    await page.getByText(threads).waitFor();
    expect(requests.filter((address) => !address.startsWith(url) && !/^(blob|data):/.test(address))).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  test("a page that is open when a newer build comes goes on with its own, and hears of the new one", async () => {
    let newer = false;
    const edit = (path: string, content: Buffer): Buffer | string => {
      if (!newer) return content;
      // The next build: another key, and other names of the pieces that are loaded late.
      if (path === "sw.js")
        return String(content)
          .replace(/"assets\/viewer-[\w-]+\.js",/, "")
          .replace(/\}[0-9a-f]{5,8}`/, "}new`");
      if (path.startsWith("assets/viewer-")) throw new Error("gone");
      return content;
    };
    const { page, errors, close } = await openPage({ offline: true, edit });
    await page.getByText("Works offline").waitFor();
    newer = true;
    await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
    await page.getByRole("button", { name: "reload for the new version" }).waitFor();
    await page.getByRole("button", { name: "Phantom scan" }).first().click();
    await page.locator("[data-shown]").waitFor();
    expect(errors).toEqual([]);
    expect(await page.evaluate(() => caches.keys())).toHaveLength(2);
    await close();
  });

  test("controls have names, and the page holds in every size and colour", async () => {
    for (const viewport of [
      { width: 1280, height: 720 },
      { width: 820, height: 1180 },
    ]) {
      const { page, errors, close } = await openPage({ viewport });
      await page.getByRole("button", { name: "Phantom scan" }).first().click();
      await page.locator("[data-shown]").waitFor();
      expect(await looks(page)).toEqual({ nameless: [], over: 0 });
      expect(errors).toEqual([]);
      await close();
    }
  });
});
