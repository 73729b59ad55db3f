import * as fc from "fast-check";
import { expect, test } from "vitest";
import { netFromJson } from "./json.ts";
import { doubling, flat, type MakeOptions, parseNet } from "./make.ts";

const options: MakeOptions = { levels: 3, convs: 2, inputChannels: 1, outputChannels: 2 };

test("widths of the two families", () => {
  expect(doubling(4, options)).toMatchObject({
    encoder: [
      [4, 4],
      [8, 8],
    ],
    bottleneck: [16, 16],
    decoder: [
      { up: 4, convs: [4, 4] },
      { up: 8, convs: [8, 8] },
    ],
  });
  expect(flat(3, { ...options, convs: 1 })).toMatchObject({ encoder: [[3], [3]], bottleneck: [3] });
});

test("2D nets have kernels 1x3x3 and pools (1, 2, 2)", () => {
  const net = flat(3, { ...options, dimensions: 2 });
  expect([net.kernels[0], net.pools[1]]).toEqual([
    [1, 3, 3],
    [1, 2, 2],
  ]);
});

test("names on the command line", () => {
  expect(parseNet("lean:8", options)).toEqual(flat(8, options));
  expect(parseNet("flat:8", options)).toEqual(flat(8, options));
  expect(parseNet(" unet:4 ", options)).toEqual(doubling(4, options));
  expect(parseNet("doubling:4", options)).toEqual(doubling(4, options));
  const free = '{"encoder":[[1,3],[5]],"bottleneck":[13],"decoder":[{"up":2,"convs":[3]},{"up":2,"convs":[7]}]}';
  expect(parseNet(free, options)).toMatchObject({ encoder: [[1, 3], [5]], bottleneck: [13], kernels: { length: 3 } });
});

test.each([
  ["leen:8", "did you mean lean:8?"],
  ["U-Net:4", "did you mean unet:4?"],
  ["toString:4", "families: lean, flat, unet, doubling"],
  ["", "Expected a net such as lean:8"],
  ["lean", 'a whole number of channels after "lean:"'],
  ["unet:four", 'as in unet:8, but got "unet:four"'],
  ["lean:0", "width of the net to be a whole number from 1 to 1024, but got 0"],
  ['{"encoder":', "does not parse"],
])("a wrong name %j is explained", (name, message) => {
  expect(() => parseNet(name, options)).toThrow(message);
});

test("options out of range are named", () => {
  expect(() => flat(8, { ...options, levels: 7 })).toThrow("levels of the net to be a whole number from 2 to 6");
  expect(() => flat(8, { ...options, convs: 4 })).toThrow("convs of the net to be a whole number from 1 to 3");
  expect(() => flat(8, { ...options, pools: [[2, 2, 2]] })).toThrow("Expected 2 entries in pools");
});

test("any net survives JSON", () => {
  const width = fc.integer({ min: 1, max: 1024 });
  const block = fc.array(width, { minLength: 1, maxLength: 3 });
  const net = fc.integer({ min: 1, max: 5 }).chain((levels) => {
    const each = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: levels, maxLength: levels });
    return fc.record({
      encoder: each(block),
      bottleneck: block,
      decoder: each(fc.record({ up: width, convs: block })),
    });
  });
  fc.assert(
    fc.property(net, (widths) => {
      const whole = { ...flat(1, { ...options, levels: widths.encoder.length + 1 }), ...widths };
      expect(netFromJson(JSON.parse(JSON.stringify(whole)))).toEqual(whole);
    }),
    { numRuns: 50 },
  );
});

const good = flat(4, options);
test.each<[object, string]>([
  [{ encoder: [[4, 0], [4]] }, 'key "encoder.0.1" of the net to be a whole number from 1 to 1024, but got 0'],
  [{ encoder: [[4, "x"], [4]] }, 'key "encoder.0.1" of the net to be a whole number from 1 to 1024, but got "x"'],
  [{ bottleneck: [] }, 'key "bottleneck" of the net to be a list of widths'],
  [{ decoder: good.decoder.slice(1) }, 'key "decoder" of the net to have 2 entries because the encoder has 2 levels'],
  [{ kernels: [[2, 3, 3]] }, 'key "kernels.0.0" of the net to be 1 or 3, but got 2'],
  [{ kernels: good.kernels.slice(1) }, 'key "kernels" of the net to have 3 entries'],
  [
    {
      pools: [
        [2, 2, 2],
        [1, 2],
      ],
    },
    'Expected key "pools.1.2" in the net, but it is missing',
  ],
  [{ unit: { norm: "group" } }, 'key "unit.norm" of the net to be "batch", "instance" or "none", but got "group"'],
  [{ unit: { slope: 1.5 } }, 'key "unit.slope" of the net to be a number from 0 to 1, but got 1.5'],
  [{ widths: 3 }, 'Expected only known keys in the net, but got "widths"'],
  [{ encoder: undefined }, 'Expected key "encoder" in the net, but it is missing'],
])("a wrong JSON net names its key: %j", (change, message) => {
  expect(() => netFromJson({ ...good, ...change })).toThrow(message);
});

test("a JSON net must be an object", () => {
  expect(() => netFromJson([])).toThrow("Expected the net to be an object with the keys encoder");
  expect(() => netFromJson(null)).toThrow("but got null");
});
