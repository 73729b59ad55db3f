import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { isLocal } from "../serve/headers.ts";
import { readPage } from "../serve/page.ts";
import { startServer } from "../serve/server.ts";

interface ServeCommandOptions {
  port: number;
  host: string;
  open?: boolean;
  json?: boolean;
}

const portOf = (text: string): number => {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65535) throw new InvalidArgumentError("Expected a port from 0 to 65535.");
  return value;
};

export const serveCommand = new Command("serve")
  .description(
    "Show runs in a web page: how training goes, their cases from worst to best with truth and prediction, reports of studies.",
  )
  .argument("[path]", "a run, prune, cross-validation or study folder, or a folder that holds such", ".")
  .addOption(new Option("--port <n>", "port of the page; 0: any free one").default(8137).argParser(portOf))
  .option(
    "--host <address>",
    "where to listen; others than 127.0.0.1 open the runs and scans to the network",
    "127.0.0.1",
  )
  .option("--open", "also open the page in the browser")
  .option("--json", "print the address as JSON")
  .addHelpText(
    "after",
    `
Examples:
  lunet serve runs
  lunet serve studies/hippocampus --open
  lunet serve runs/lean8 --port 0`,
  )
  .action(async (path: string, { port, host, open, json }: ServeCommandOptions) => {
    const page = readPage((text) => process.stderr.write(`${text}\n`));
    const server = await startServer({ folder: path, page, port, host });
    if (!isLocal(host)) {
      process.stderr.write(
        `Anyone who reaches this machine at ${host} can look at these runs and their scans; leave out --host to keep them to yourself.\n`,
      );
    }
    if (json) process.stdout.write(`${JSON.stringify({ url: server.url, folder: resolve(path), pid: process.pid })}\n`);
    else process.stdout.write(`Open ${server.url} (Ctrl+C ends it).\n`);
    if (open) openBrowser(server.url);
    await new Promise<void>((done) => {
      process.once("SIGINT", done).once("SIGTERM", done);
    });
    await server.close();
  });

/** With the system's own way; where there is none, the printed address has to do. */
function openBrowser(url: string): void {
  const [command, ...args] =
    process.platform === "darwin" ? ["open"] : process.platform === "win32" ? ["cmd", "/c", "start", ""] : ["xdg-open"];
  spawn(command, [...args, url], { stdio: "ignore", detached: true })
    .on("error", () => process.stderr.write(`No browser could be opened; open ${url} yourself.\n`))
    .unref();
}
