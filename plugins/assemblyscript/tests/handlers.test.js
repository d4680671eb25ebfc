// The handlers, each with a conversation in node. They have to be built first.

import assert from "node:assert/strict";
import { test } from "node:test";

import { converse } from "../../../guest-sdk/assemblyscript/testing.js";

const module = (name) => new URL(`../${name}.wasm`, import.meta.url);

test("echo gives back every byte", async () => {
  const input = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
  const { code, bytes } = await converse(module("echo"), input);
  assert.equal(code, 0);
  assert.ok(bytes.equals(input));
});

test("shout gives lines in capitals, however they arrive", async () => {
  for (const atOnce of [1, 3, Infinity]) {
    const { code, output } = await converse(module("shout"), "hello\r\nwörld\n\nbye", { atOnce });
    assert.equal(code, 0);
    assert.equal(output, "HELLO\r\nWöRLD\n\nBYE\n");
  }
});

test("shout takes lines of 64 KiB, and none that are longer", async () => {
  const longest = "x".repeat(65536);
  const taken = await converse(module("shout"), `${longest}\n`);
  assert.equal(taken.code, 0);
  assert.equal(taken.output, `${longest.toUpperCase()}\n`);
  assert.equal((await converse(module("shout"), `${longest}x\n`)).code, 1);
  assert.equal((await converse(module("shout"), `${longest}x`)).code, 1);
});

test("probe tells facts, errors and its own code", async () => {
  const input = "fact transport\nfact tls.alpn\nbad\nlog two words\nnonsense\ncode 7\n";
  const { code, output, log } = await converse(module("probe"), input, { facts: { transport: "tcp" } });
  assert.equal(output, "transport=tcp\ntls.alpn: ENOENT\nEBADF\nlogged\n?\n");
  assert.deepEqual(log, [{ level: 3, text: "two words" }]);
  assert.equal(code, 7);
});

test("probe tells a fact that is longer than its buffer", async () => {
  const chain = "-".repeat(5000);
  const { output } = await converse(module("probe"), "fact tls.peer.chain\n", { facts: { "tls.peer.chain": chain } });
  assert.equal(output, `tls.peer.chain=${chain}\n`);
});

test("calc calculates", async () => {
  await calculates('{"op":"add","a":1,"b":2}', '{"result":3}');
  await calculates('{"op":"sub","a":0.5,"b":2}', '{"result":-1.5}');
  await calculates(' { "b" : -2e1 , "op" : "mul", "a" : 3, "note": null } \r', '{"result":-60}');
  await calculates('{"op":"d\\u0069v","a":1,"b":4}', '{"result":0.25}');
  await calculates('{"op":"mul","a":1e300,"b":10}', '{"result":1e+301}');
  await calculates('{"op":"mul","a":-1,"b":0}', '{"result":0}');
});

test("calc says what is wrong, as JSON", async () => {
  await calculates('{"op":"div","a":1,"b":0}', '{"error":"the result is not a number"}');
  await calculates('{"op":"pow","a":1,"b":2}', '{"error":"op is not add, sub, mul or div"}');
  await calculates('{"op":"add","a":"1","b":2}', '{"error":"a is missing, or not a number"}');
  await calculates('{"op":"add","a":1}', '{"error":"b is missing, or not a number"}');
});

test("calc takes no JSON that is none", async () => {
  const wrong = [
    "", "3", "{", '{"a"}', '{"a":}', '{"a":1,}', '{"a":01}', '{"a":.5}', '{"a":1.}', '{"a":+1}', '{"a":1e}',
    '{"a":1e999}', '{"a":0x10}', '{"a":NaN}', '{"a":[1]}', "{'a':1}", '{"a":1} 2', '{"a":"\\x"}', '{"a":"\\u00g0"}',
    '{"a":"\u0001"}', '{"a":"b', '{,}',
  ];
  for (const line of wrong) {
    await calculates(line, '{"error":"this is not a JSON object of strings and numbers"}');
  }
});

test("calc ends when a request is too long", async () => {
  assert.equal((await converse(module("calc"), " ".repeat(4097))).code, 1);
});

async function calculates(line, answer) {
  const { code, output } = await converse(module("calc"), `${line}\n`);
  assert.deepEqual([line, output, code], [line, `${answer}\n`, 0]);
}
