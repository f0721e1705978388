// Runs a recipe in a process of its own and prints each event as soon as it hands it on.
// Usage: node drive.mjs RECIPE.mjs ARGUMENTS, where ARGUMENTS is the JSON of runAgent's first one.
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";

// Longer than `retry`: a reader that was not closed asks again meanwhile, and is seen to.
const LINGER_MS = 1500;

// What @microsoft/fetch-event-source expects of a browser.
globalThis.window = globalThis;
globalThis.document = Object.assign(new EventTarget(), { hidden: false });

const [recipe, given] = process.argv.slice(2);
const { runAgent } = await import(pathToFileURL(recipe));
const leftOpen = recipe.includes("left-open");
await runAgent(JSON.parse(given), (event) => {
  process.stdout.write(`${JSON.stringify(event)}\n`);
  // The user comes back to the tab; no recipe may send its request again because of that.
  if (!leftOpen) document.dispatchEvent(new Event("visibilitychange"));
});
await setTimeout(LINGER_MS);
