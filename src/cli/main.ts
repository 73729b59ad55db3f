import { Command, CommanderError } from "commander";
import { UserError } from "../util/errors.ts";
import { explainFileError } from "../util/files.ts";
import { lunetVersion } from "../util/version.ts";
import { type CommandEntry, commands } from "./commands.ts";

/** What the shell sees; docs/reference.md explains each to users. */
const exitCodes = { ok: 0, badInput: 1, badUsage: 2, internal: 70 } as const;

/**
 * The command line: `argv` without the program's own name. Prints to stdout and stderr and gives the exit code. Only the
 * module of the command that was asked for is loaded. LUNET_DEBUG=1 adds the stack to every error.
 */
export async function main(argv: string[], entries: readonly CommandEntry[] = commands): Promise<number> {
  // For good: what was written last may fail only after the command has ended.
  if (!process.stdout.listeners("error").includes(outputFailed)) process.stdout.on("error", outputFailed);
  try {
    const program = new Command("lunet")
      .description("Train, evaluate and deploy lean U-Nets for medical image segmentation.")
      .version(lunetVersion(), "-V, --version", "print the version")
      .helpCommand("help [command]", "show the help of a command")
      .helpOption("-h, --help", "show this help")
      // An option after a command's name is that command's, also where commands within commands have one of the same name.
      .enablePositionalOptions()
      .exitOverride();
    const args = argv[0] === "help" && argv.length > 1 ? [argv[1], "--help"] : argv;
    for (const entry of entries) {
      const command = entry.name === args[0] ? await entry.load() : new Command(entry.name);
      if (entry.name === args[0]) stopByThrowing(command, program);
      program.addCommand(command.summary(entry.summary));
    }
    await program.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    return report(error);
  }
}

/** Settings of the program do not reach commands that were made on their own. */
function stopByThrowing(command: Command, parent: Command): void {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) stopByThrowing(child, command);
}

function report(error: unknown): number {
  // Commander has printed its own message by now; help and version end here too, with exit code 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.badUsage;
  const known = error instanceof UserError ? error : explainFileError(error);
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const debug = process.env.LUNET_DEBUG === "1";
  if (known) {
    process.stderr.write(`lunet: ${known.message}\n${debug ? `${stack}\n` : ""}`);
    return exitCodes.badInput;
  }
  process.stderr.write(
    `lunet: this is a fault in lunet, not in your input; please report it with these lines:\n${stack}\n`,
  );
  return exitCodes.internal;
}

/** Output that cannot be written. `lunet ... | head` closes it early, and that is no mistake. */
function outputFailed(error: NodeJS.ErrnoException): void {
  process.exit(error.code === "EPIPE" ? exitCodes.ok : report(error));
}
