import { expect, test } from "vitest";
import { floatField, intField, join, messageField, stringField, varint } from "./protobuf.ts";

test("bytes written by hand", () => {
  expect([...varint(0)]).toEqual([0]);
  expect([...varint(127)]).toEqual([127]);
  expect([...varint(300)]).toEqual([0xac, 0x02]); // 300 = 2 * 128 + 44
  expect([...varint(-1)]).toEqual([255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
  expect([...varint(2n ** 40n)]).toEqual([128, 128, 128, 128, 128, 32]);
  expect([...intField(1, 150)]).toEqual([0x08, 0x96, 0x01]);
  expect([...intField(20, 2)]).toEqual([0xa0, 0x01, 2]); // key 20 * 8 = 160 needs two bytes
  expect([...stringField(2, "é")]).toEqual([0x12, 2, 0xc3, 0xa9]);
  expect([...floatField(2, 1)]).toEqual([0x15, 0, 0, 0x80, 0x3f]);
  expect([...join([messageField(3, [intField(1, 150)]), intField(1, 1)])]).toEqual([0x1a, 3, 8, 0x96, 1, 8, 1]);
});
