import assert from "node:assert/strict";
import { test } from "node:test";
import { converse } from "portcell/testing";

test("whoever has a name is repeated until they say bye", async () => {
  const facts = { "peer.address": "192.0.2.1:5000" };
  const { code, output, log } = await converse("{{module}}", "Ada\nHow are you?\nbye\n", { facts });
  assert.equal(
    output,
    "Hello! Who are you?\n" +
      "Nice to meet you, Ada! Say something, or bye.\n" +
      "Ada says: How are you?\n" +
      "Bye, Ada!\n",
  );
  assert.equal(code, 0);
  assert.deepEqual(log, [{ level: 3, text: "a client at 192.0.2.1:5000" }]);
});
