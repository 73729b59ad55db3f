import { expect, test } from "vitest";
import { describeInBrowser, openPage } from "./app/harness.ts";

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
});
