// How large the client is in a browser, minified and gzipped; fails above the limit.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const LIMIT_BYTES = 8 * 1024;

async function sizeOf(entry, external) {
  const built = await build({
    stdin: { contents: `export * from "${entry}";`, resolveDir: new URL("..", import.meta.url).pathname },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    external,
  });
  return gzipSync(built.outputFiles[0].contents, { level: 9 }).length;
}

const client = await sizeOf("./dist/index.js", []);
const alone = await sizeOf("./dist/index.js", ["eventsource-parser"]);
const react = await sizeOf("./dist/react/index.js", ["react"]);
console.log(`agentrun-client: ${client} bytes gzipped, ${alone} of them without eventsource-parser`);
console.log(`agentrun-client/react with it: ${react} bytes, without React`);
if (client > LIMIT_BYTES) {
  console.error(`The client may have ${LIMIT_BYTES} bytes.`);
  process.exitCode = 1;
}
