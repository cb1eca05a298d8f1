// Evaluates the bodies of async functions that come line by line on stdin, and answers each with a line of JSON.
import { createInterface } from "node:readline";

const AsyncFunction = (async () => {}).constructor;
const failures = [];
process.on("uncaughtException", (error) => failures.push(String(error.stack ?? error)));
process.on("unhandledRejection", (error) => failures.push(String(error?.stack ?? error)));

for await (const line of createInterface({ input: process.stdin })) {
  const { id, body } = JSON.parse(line);
  const answer = (fields) => {
    const text = JSON.stringify({ id, failures: failures.splice(0), ...fields }, (_key, value) =>
      typeof value === "bigint" ? String(value) : ArrayBuffer.isView(value) ? Array.from(value) : value);
    process.stdout.write(`${text}\n`);
  };
  // The next line is read at once: a body may wait for another one.
  new AsyncFunction(body)().then(
    (value) => answer({ value: value ?? null }),
    (error) => answer({ error: String(error?.stack ?? error) }),
  );
}
