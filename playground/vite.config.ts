import { defineConfig } from "vite";

export default defineConfig({
  // Relative, so that the page also works below a path.
  base: "./",
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
    // The reference's package is a whole application; nothing of the page waits for it.
    chunkSizeWarningLimit: 2000,
  },
});
