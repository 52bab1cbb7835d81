import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

// The program holds the files compressed: whoever takes no gzip gets them unpacked.
const compressed = {
  name: "compressed",
  apply: "build",
  writeBundle({ dir }, bundle) {
    for (const name of Object.keys(bundle)) {
      const path = join(dir, name);
      writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      rmSync(path);
    }
  },
};

// Libraries mark modules for a server that renders; there is none here.
const quietly = (level, log, say) => log.code === "MODULE_LEVEL_DIRECTIVE" || say(level, log);

export default defineConfig({
  base: "/graphiql/",
  publicDir: false,
  build: {
    // Not `dist` itself: a file of the repository keeps that folder.
    outDir: "dist/graphiql",
    emptyOutDir: true,
    target: "es2022",
    assetsDir: "",
    // Files of their own, so that the page's policy need not allow `data:` for our part.
    assetsInlineLimit: 0,
    // It would be a script in the page.
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
    rolldownOptions: { onLog: quietly },
  },
  worker: { format: "es" },
  plugins: [compressed],
});
