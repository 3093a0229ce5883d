// Writes what slither reads (a Hardhat build-info file: input and output of one compilation of all contracts, with syntax trees) into
// the folder given, of all rooms or of those named after it. There is no native solc here; this is the same compiler and the same settings as build.mjs.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const solc = createRequire(import.meta.url)("solc");
const NOT_OURS = new Set(["node_modules", "hostile"]);
const [, , folder, ...rooms] = process.argv;

const sources = {};
for (const room of readdirSync(HERE, { withFileTypes: true })) {
  if (!room.isDirectory() || NOT_OURS.has(room.name) || (rooms.length && !rooms.includes(room.name))) continue;
  for (const file of readdirSync(join(HERE, room.name), { recursive: true }))
    if (file.endsWith(".sol")) sources[`${room.name}/${file}`] = { content: readFileSync(join(HERE, room.name, file), "utf8") };
}
const read = (path) => {
  const file = path.startsWith("@") ? join(HERE, "node_modules", path) : join(HERE, path);
  return existsSync(file) ? { contents: readFileSync(file, "utf8") } : { error: `no such file: ${path}` };
};
const settings = JSON.parse(execFileSync(process.execPath, [join(HERE, "build.mjs"), "--print-settings"], { encoding: "utf8" }));
const outputs = ["abi", "devdoc", "userdoc", "evm.bytecode", "evm.deployedBytecode", "evm.methodIdentifiers"];
const input = { language: "Solidity", sources, settings: { ...settings, outputSelection: { "*": { "*": outputs, "": ["ast"] } } } };
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length) {
  console.error(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
const solcVersion = solc.version().split("+")[0];
writeFileSync(join(folder, "contracts.json"), JSON.stringify({ solcVersion, input, output }));
