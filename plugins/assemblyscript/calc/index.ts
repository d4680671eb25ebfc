// A calculator that speaks JSON, one object a line:
//
//     {"op":"add","a":1,"b":2}  ->  {"result":3}
//     {"op":"div","a":1,"b":0}  ->  {"error":"the result is not a number"}
//
// `op` is add, sub, mul or div.

import { Connection } from "portcell";

import { FlatObject } from "./json";

/** The longest request, in bytes. */
const MAX_REQUEST: i32 = 4096;

/** Up to here whole numbers are exact, and are written without a fraction. */
const EXACT: f64 = 9007199254740992;

export function handle(): i32 {
  const conn = new Connection();
  while (true) {
    const line = conn.readText(MAX_REQUEST);
    if (line === null) return conn.error == 0 ? 0 : 1;
    if (conn.writeText(answer(line) + "\n") < 0) return 1;
  }
}

function answer(line: string): string {
  const request = FlatObject.parse(line);
  if (request === null) return failure("this is not a JSON object of strings and numbers");
  if (!request.numbers.has("a")) return failure("a is missing, or not a number");
  if (!request.numbers.has("b")) return failure("b is missing, or not a number");
  const op = request.strings.has("op") ? request.strings.get("op") : "";
  if (!isKnown(op)) return failure("op is not add, sub, mul or div");

  const result = calculate(op, request.numbers.get("a"), request.numbers.get("b"));
  if (!isFinite(result)) return failure("the result is not a number");
  return `{"result":${written(result)}}`;
}

function isKnown(op: string): bool {
  return op == "add" || op == "sub" || op == "mul" || op == "div";
}

function calculate(op: string, a: f64, b: f64): f64 {
  if (op == "add") return a + b;
  if (op == "sub") return a - b;
  if (op == "mul") return a * b;
  return a / b;
}

function written(number: f64): string {
  return number == trunc(number) && abs(number) <= EXACT ? (<i64>number).toString() : number.toString();
}

function failure(what: string): string {
  return `{"error":"${what}"}`;
}
