/** A page with a React renderer, and Node's own fetch. */

import { Window } from "happy-dom";

const window = new Window({ url: "http://localhost/" });
const globals = {
  window,
  document: window.document,
  navigator: window.navigator,
  sessionStorage: window.sessionStorage,
  requestAnimationFrame: window.requestAnimationFrame.bind(window),
};
// Newer versions of Node have some of these themselves, not all of them writable.
for (const [name, value] of Object.entries(globals))
  Object.defineProperty(globalThis, name, { value, configurable: true });

export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Never so: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
