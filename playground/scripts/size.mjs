// What the page loads before it can be used, gzipped; fails above the limit.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT_BYTES = 200 * 1024;
const STATIC = new URL("../../local/agentrun_local/playground/static/", import.meta.url);

const html = readFileSync(new URL("index.html", STATIC), "utf8");
const named = [...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map(([, path]) => path);
const files = new Set(["index.html", ...named]);
// A chunk that is not preloaded is imported by one that is.
for (const file of files)
  if (file.endsWith(".js"))
    for (const [, path] of readFileSync(new URL(file, STATIC), "utf8").matchAll(
      /(?:from|import)\s*"\.\/([^"]+\.js)"/g,
    ))
      files.add(`assets/${path}`);

let total = 0;
for (const file of files) {
  const size = gzipSync(readFileSync(new URL(file, STATIC)), { level: 9 }).length;
  console.log(`${String(size).padStart(7)} ${file}`);
  total += size;
}
console.log(`${String(total).padStart(7)} bytes gzipped before the first paint`);
if (total > LIMIT_BYTES) {
  console.error(`It may be ${LIMIT_BYTES} bytes.`);
  process.exitCode = 1;
}
