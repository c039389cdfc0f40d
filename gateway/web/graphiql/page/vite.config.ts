// How the page is built: hashed names below graphiql/, each file compressed, and the notices of the packages in it.

import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const packages = new Set<string>();

/** Notes which packages the bundle and its workers are made of. */
function noting(): Plugin {
  return {
    name: "note-packages",
    generateBundle(_, bundle) {
      for (const file of Object.values(bundle)) {
        for (const id of file.type === "chunk" ? file.moduleIds : []) {
          const folder = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id.replaceAll("\0", ""));
          if (folder) packages.add(folder[0]);
        }
      }
    },
  };
}

function notice(folder: string): string {
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const texts = readdirSync(folder)
    .filter((name) => /^(licen[cs]e|notice|thirdpartynotices)/i.test(name))
    .map((name) => readFileSync(join(folder, name), "utf8").trim());
  const head = `${about.name} ${about.version}, licence ${about.license ?? "see below"}`;
  return [head, "-".repeat(head.length), ...texts].join("\n\n");
}

/** Writes the notices, and each file compressed in place of the plain one. */
function finishing(): Plugin {
  return {
    name: "finish",
    apply: "build",
    writeBundle(options, bundle) {
      const out = options.dir ?? dirname(options.file ?? "");
      const folders = [...packages].filter((folder) => existsSync(join(folder, "package.json"))).sort();
      const intro = "The page at /graphiql holds these packages, minified. Their notices:";
      writeFileSync(join(out, "NOTICES.txt"), [intro, ...folders.map(notice)].join("\n\n\n") + "\n");
      for (const name of Object.keys(bundle)) {
        if (name === "index.html") continue;
        const path = join(out, name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
        rmSync(path);
      }
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [react(), noting(), finishing()],
  worker: { format: "es", plugins: () => [noting()] },
  build: {
    outDir: "dist",
    assetsDir: "graphiql",
    assetsInlineLimit: 0,
    target: ["chrome111", "firefox115", "safari16.4"],
    chunkSizeWarningLimit: 5000,
  },
});
