// Bundles the checks named, as a frontend's build would: esbuild for TypeScript, Relay's own plugin for its tags.

import { readFile } from "node:fs/promises";

import { transformAsync } from "@babel/core";
import { build } from "esbuild";

const relay = {
  name: "relay",
  setup: ({ onLoad }) =>
    onLoad({ filter: /[/\\]relay[/\\][^/\\]+\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const options = { filename: path, plugins: ["relay"], parserOpts: { plugins: ["typescript"] }, configFile: false };
      return { contents: (await transformAsync(source, options)).code, loader: "ts" };
    }),
};

await build({
  entryPoints: process.argv.slice(2).map((name) => `${name}/check.ts`),
  outdir: "build",
  outbase: ".",
  outExtension: { ".js": ".cjs" },
  bundle: true,
  platform: "node",
  format: "cjs",
  sourcemap: "inline",
  logLevel: "warning",
  plugins: [relay],
});
