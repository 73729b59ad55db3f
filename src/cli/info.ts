import { Command, Option } from "commander";
import { MEMORY_LIMIT, type MemoryPlan } from "../engine/wasm/arena.ts";
import type { Model } from "../model/types.ts";
import { countNet, type NetCount } from "../net/count.ts";
import { postprocessingWords } from "../predict/postprocess.ts";
import { counted } from "../util/counted.ts";
import { textTable } from "../util/text-table.ts";
import type { Vec3 } from "../volume/volume.ts";
import { memoryTable, type NetMemory, netMemory } from "./info-memory.ts";
import { type NetOptions, netArgument, netOptions, readNet } from "./net-argument.ts";
import { parseCount } from "./options.ts";

interface InfoOptions extends NetOptions {
  batch: number;
  memory?: boolean;
  json?: boolean;
}

const command = new Command("info")
  .description("Show the layers of a net or of a trained model: parameters, work, memory, receptive field.")
  .argument("<net-or-model>", netArgument);
for (const option of netOptions()) command.addOption(option);

export const infoCommand = command
  .addOption(new Option("--batch <n>", "patches at once").default(1).argParser(parseCount))
  .option("--memory", "show what the engine's memory holds to predict and to train")
  .option("--json", "print everything as JSON")
  .action(async (what: string, options: InfoOptions) => {
    const { net, patch, model } = await readNet(what, options);
    const { batch } = options;
    const count = countNet(net, { batch, shape: patch });
    const memory = await netMemory(net, { batch, patch, exact: options.memory === true });
    const text = options.json
      ? JSON.stringify(
          {
            ...{ net, batch, patch, ...count, ...(options.memory ? { memory } : {}), provenance: model?.provenance },
            ...{ postprocessing: model?.postprocessing, testTime: model?.testTime },
          },
          null,
          2,
        )
      : describe(count, memory, patch, batch, model);
    const table = options.memory && !options.json ? `\n${memoryTable(memory)}\n` : "";
    process.stdout.write(`${text}\n${table}`);
  });

/** A table with a row per layer, then the totals. */
function describe(count: NetCount, memory: NetMemory, patch: Vec3, batch: number, model?: Model): string {
  const rows = count.layers.map((l) => [
    l.name,
    `${l.kind} ${l.kernel.join("x")}`,
    `${l.inputs}`,
    `${l.outputs}`,
    l.shape.join("x"),
    grouped(l.parameters),
    grouped(l.macs),
  ]);
  const head = ["layer", "operator", "in", "out", "shape", "parameters", "MACs"];
  const from = model?.provenance;
  const trained =
    from &&
    `trained      ${counted(from.steps, "step")} with preset ${from.preset}, seed ${from.seed}, ${from.created}`;
  const chosen = model ? choiceLines(model) : [];
  const beyond = memory.training.total > MEMORY_LIMIT ? "; the engine can address 4096 MiB" : "";
  const totals = [
    `parameters   ${grouped(count.parameters)} (${grouped(count.parametersWithoutNorm)} without the norm's)`,
    `work         ${(count.macs / 1e9).toFixed(3)} GMAC for ${batch} x ${patch.join("x")}`,
    `memory       ${mebibytes(memory.inference)} to predict, ${mebibytes(memory.training)} to train (${mebibytes(memory.lowMemory)} with --low-memory)${beyond}`,
    `sees         ${count.receptiveField.join("x")} voxels around a voxel`,
  ];
  return [textTable([head, ...rows], 2), "", ...(trained ? [trained] : []), ...chosen, ...totals].join("\n");
}

/** What lunet best wrote into the model. */
function choiceLines({ plan, postprocessing, testTime }: Model): string[] {
  const percent = (value: number): string => (100 * value).toFixed(2);
  const averaged = testTime && [
    ...(testTime.mirror ? ["mirror images"] : []),
    ...(testTime.shifts > 0 ? [counted(testTime.shifts, "shift")] : []),
  ];
  const lines = averaged ? [`averages     ${averaged.join(", ")}`] : [];
  if (!postprocessing) return lines;
  const { cases, before, after } = postprocessing.evidence;
  const gain = `Dice ${percent(before)} -> ${percent(after)} on ${counted(cases, "unseen case")}`;
  return [...lines, `then         ${postprocessingWords(postprocessing, plan.labels)} (${gain})`];
}

const grouped = (n: number): string => n.toLocaleString("en-US");
const mebibytes = ({ total }: MemoryPlan): string => `${(total / 2 ** 20).toFixed(1)} MiB`;
