import type { Command } from "commander";
import { expect, it } from "vitest";
import { commands } from "./commands.ts";

/** Text in a cell of a table. */
const cell = (text: string): string => text.replaceAll("|", "\\|");

/** A command with its arguments and options, then the commands within it. */
function section(command: Command, name: string): string[] {
  const help = command.createHelp();
  const terms = help.visibleArguments(command).map((argument) => argument.name());
  const rows = [
    ...help.visibleArguments(command).map((one) => [`\`${one.name()}\``, help.argumentDescription(one)]),
    ...command.options.map((one) => [`\`${one.flags}\``, help.optionDescription(one)]),
  ];
  return [
    `## ${name}${terms.length > 0 ? ` ${terms.map((term) => `[${term}]`).join(" ")}` : ""}`,
    command.description(),
    [
      "| argument or option | meaning |",
      "| --- | --- |",
      ...rows.map((row) => `| ${row.map(cell).join(" | ")} |`),
    ].join("\n"),
    ...command.commands.flatMap((child) => section(child, `${name} ${child.name()}`)),
  ];
}

it("docs/options.md has every command and option as --help tells them (npm test -- -u src/cli/options writes it)", async () => {
  const sections: string[] = [];
  for (const { name, load } of commands) {
    const command = await load();
    expect(command.name()).toBe(name);
    for (const each of [command, ...command.commands]) {
      expect(each.description()).toMatch(/^[A-Z].*\.$/s);
      expect(each.options.every(({ description }) => description)).toBe(true);
    }
    sections.push(...section(command, name));
  }
  const text = [
    "# Options",
    "Every command with its arguments and options, as `npx lunet COMMAND --help` tells them, with examples there. What commands read and write: [reference](reference.md).",
    ...sections,
  ].join("\n\n");
  await expect(`${text}\n`).toMatchFileSnapshot("../../docs/options.md");
});
