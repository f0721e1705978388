// Whether the built files that are committed are those of the sources; fails if not.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { build } from "vite";

const COMMITTED = new URL("../../local/agentrun_local/playground/static", import.meta.url).pathname;

function filesOf(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.map((file) => [relative(folder, file), readFileSync(file)]));
}

const scratch = mkdtempSync(join(tmpdir(), "playground-"));
try {
  await build({ logLevel: "warn", build: { outDir: scratch } });
  const [fresh, committed] = [filesOf(scratch), filesOf(COMMITTED)];
  const names = [...new Set([...fresh.keys(), ...committed.keys()])].sort();
  const stale = names.filter((name) => !fresh.has(name) || !committed.get(name)?.equals(fresh.get(name)));
  if (stale.length > 0) {
    console.error(`Not what the sources make; run make playground:\n${stale.join("\n")}`);
    process.exitCode = 1;
  }
} finally {
  rmSync(scratch, { recursive: true });
}
