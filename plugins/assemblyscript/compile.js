// node compile.js PACKAGES FOLDER handler|command NAME...
//
// Compiles NAME/index.ts to FOLDER/NAME.wasm, for each name. PACKAGES is the folder node_modules that
// the compiler is in. It takes longer to start than for a handler, so this takes many. Commands need
// a process without handlers: the shim changes the compiler's library.

import { renameSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";

const [packages, folder, kind, ...names] = process.argv.slice(2);
const { main } = await import(pathToFileURL(join(packages, "assemblyscript/dist/asc.js")));

// The compiler takes paths in a configuration as relative ones only.
const path = relative(".", packages);
// The shim gives WASI's world to a command, and makes its entry of the code outside of functions.
const shim = ["--config", join(path, "@assemblyscript/wasi-shim/asconfig.json")];

for (const name of names) {
  const module = join(folder, `${name}.wasm`);
  const options = ["--path", path, "--optimize", "--outFile", `${module}.partial`];
  if (kind === "command") options.push(...shim);
  const { error } = await main([`${name}/index.ts`, ...options], { stdout: process.stdout, stderr: process.stderr });
  if (error) process.exit(1);
  renameSync(`${module}.partial`, module);
}
