import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";
import { licences } from "./scripts/licences";

/** The reference's package as it was published: it is minified, and takes half a minute to bundle. */
function swaggerUi(): Plugin {
  const folder = new URL("node_modules/swagger-ui-dist/", import.meta.url);
  const files = ["swagger-ui-bundle.js", "swagger-ui.css", "LICENSE", "NOTICE"];
  return {
    name: "swagger-ui",
    generateBundle() {
      for (const name of files) {
        const fileName = `docs/swagger-ui/${name.includes(".") ? name : `${name}.txt`}`;
        this.emitFile({ type: "asset", fileName, source: readFileSync(new URL(name, folder)) });
      }
    },
  };
}

export default defineConfig({
  // Relative, so that the page also works below a path.
  base: "./",
  plugins: [swaggerUi(), licences()],
  // The client is a link to its own folder, which has a React of its own for its tests.
  resolve: { dedupe: ["react", "react-dom"] },
  esbuild: { jsx: "automatic" },
  build: {
    outDir: "../local/agentrun_local/playground/static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    // The preload's polyfill would be an inline script, and every browser of the target has it.
    modulePreload: { polyfill: false },
    rollupOptions: { input: ["index.html", "docs/index.html"] },
  },
});
