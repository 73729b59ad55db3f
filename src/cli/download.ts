import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { bytesText, type DownloadRequest, download, nameOf } from "../download/download.ts";
import { findSet, publicSets } from "../download/sets.ts";
import { createProgress, durationText } from "../train/progress.ts";
import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { textTable } from "../util/text-table.ts";
import { interruptedCode, untilStopped } from "./stop.ts";

interface DownloadCliOptions {
  out: string;
  list?: boolean;
  json?: boolean;
  url?: string;
  sha256?: string;
}

export const downloadCommand = new Command("download")
  .description(
    "Get a public data set: fetched, checked, unpacked to DIR/NAME. Goes on where an earlier call was stopped or cut off. Shows licence, source " +
      "and size before it begins; the licence binds who uses the data.",
  )
  .argument("[name]", "a public set (--list), or with --url a name of your own")
  .option("-o, --out <dir>", "the folder to put the set's folder into", "data")
  .option("--list", "show the public sets")
  .option("--url <address>", "get the archive (tar, tar.gz) from this address instead, as from a mirror of your own")
  .option("--sha256 <sum>", "what the archive must have")
  .option("--json", "print the result (or the list) as JSON")
  .action(async (name: string | undefined, options: DownloadCliOptions) => {
    if (options.list) {
      process.stdout.write(options.json ? `${JSON.stringify(publicSets, null, 2)}\n` : listText());
      return;
    }
    const request = requestOf(name, options);
    const progress = createProgress(process.stderr);
    let have = 0;
    let total: number | null = null;
    try {
      progress.say(introduction(request));
      const { folder, record, fresh } = await untilStopped(async ({ signal, onBegin }) => {
        const rate = rateOf();
        return download(request, {
          out: options.out,
          onStep: (step) => progress.say(step === "checking" ? "Checking ..." : "Unpacking ..."),
          unpack: { onFile: (files, bytes) => progress.live(`${filesText(files)}, ${bytesText(bytes)}`) },
          fetch: {
            signal,
            onSize: async (size, already) => {
              onBegin();
              [total, have] = [size, already];
              const known = size === null ? "not told by the server" : bytesText(size);
              progress.say(`Size: ${known}${already > 0 ? `, ${bytesText(already)} of it here already` : ""}`);
            },
            onBytes: (bytes) => {
              have = bytes;
              progress.live(rate(bytes, total));
            },
            onRetry: (sentence) => progress.say(sentence.charAt(0).toUpperCase() + sentence.slice(1)),
          },
        }).catch((error) => {
          if (!signal.aborted) throw error;
          return { folder: "", record: undefined, fresh: false };
        });
      });
      progress.close();
      if (!record) {
        process.exitCode = interruptedCode;
        process.stderr.write(
          `Stopped at ${bytesText(have)}${total === null ? "" : ` of ${bytesText(total)}`}; the same command goes on from there.\n`,
        );
        return;
      }
      if (options.json) process.stdout.write(`${JSON.stringify({ folder, fresh, ...record }, null, 2)}\n`);
      else process.stdout.write(resultText(folder, record, fresh, request));
    } finally {
      progress.close();
    }
  });

function requestOf(name: string | undefined, { url, sha256 }: DownloadCliOptions): DownloadRequest {
  if (sha256 !== undefined && !/^[\da-f]{64}$/i.test(sha256)) {
    fail(`Expected 64 hexadecimal digits after --sha256 and got ${sha256}.`);
  }
  if (url === undefined) {
    const set = findSet(name ?? fail("Expected the name of a public set; lunet download --list shows them."));
    return { name: set.name, url: set.url, md5: set.md5, sha256, set };
  }
  if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : "")) {
    fail(`Expected an address that begins with https:// (or http://) after --url and got ${url}.`);
  }
  const set = publicSets.find((one) => one.name === name?.toLowerCase());
  // A mirror of a public set must hold the same archive.
  if (set) return { name: set.name, url, md5: set.md5, sha256, set };
  const folder = name ?? nameOf(url);
  if (!/^\w[\w.-]*$/.test(folder)) fail(`Expected a name of letters, digits, dots and hyphens and got ${folder}.`);
  return { name: folder, url, sha256 };
}

function introduction({ name, url, set, sha256 }: DownloadRequest): string {
  const lines = set
    ? [
        `${set.name}: ${set.title}`,
        `Licence: ${set.licence}, ${set.licenceUrl}`,
        `Cite: ${set.cite}`,
        `Source: ${url}${set.about === undefined ? "" : ` (about ${bytesText(set.about)})`}`,
      ]
    : [`${name}: ${url}`, "Licence: lunet does not know it; look where the archive is published."];
  if (!set && !sha256) lines.push("No --sha256 is given, so nothing tells whether the archive is the right one.");
  return lines.join("\n");
}

function resultText(
  folder: string,
  { bytes, files, date, sha256, md5 }: { bytes: number; files: number; date: string; sha256: string; md5: string },
  fresh: boolean,
  request: DownloadRequest,
): string {
  const counts = `${filesText(files)} from ${bytesText(bytes)}`;
  const checked = [request.md5 && "md5", request.sha256 && "sha256"].filter(Boolean).join(" and ");
  const lines = fresh
    ? [
        `${folder}: ${counts}, ${checked ? `${checked} as expected` : "no checksum to compare with"}.`,
        `md5 ${md5}`,
        `sha256 ${sha256}`,
      ]
    : [`${folder} is already there: ${counts}, got on ${date.slice(0, 10)}.`];
  if (existsSync(join(folder, "dataset.json"))) {
    lines.push(
      "Next:",
      `  npx lunet plan ${folder}`,
      `  npx lunet train ${folder} --net lean:8 --minutes 10 --out runs/${request.name}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

const filesText = (files: number): string => counted(files, "file");

function listText(): string {
  const rows = publicSets.map(({ name, about, licence, title }) => [
    name,
    licence,
    title,
    about === undefined ? "-" : bytesText(about),
  ]);
  return `${textTable([["name", "licence", "what", "about"], ...rows], 3)}\nSets without a size: the server tells it before anything is fetched.\n`;
}

/** The live line: how much, how fast over the last seconds, how long still. */
function rateOf(now: () => number = () => performance.now()): (have: number, total: number | null) => string {
  const marks: { at: number; have: number }[] = [];
  return (have, total) => {
    const at = now();
    if (marks.length === 0 || at - marks[marks.length - 1].at > 250) marks.push({ at, have });
    if (marks.length > 20) marks.shift();
    const [first] = marks;
    const rate = (1000 * (have - first.have)) / Math.max(1, at - first.at);
    const left = total === null || rate <= 0 ? "" : `, ${durationText((total - have) / rate)} left`;
    const share = total === null ? bytesText(have) : `${bytesText(have)} of ${bytesText(total)}`;
    return `${share}, ${bytesText(Math.round(rate))}/s${left}`;
  };
}
