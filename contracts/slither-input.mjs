// Writes what slither reads into the folder given: a Hardhat project of the sources and one build-info file, the input and output of
// one compilation with syntax trees; of all rooms, or of those named after the folder. There is no native solc here; this is the
// compiler of build.mjs with its settings.
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
const texts = {};
for (const room of readdirSync(HERE, { withFileTypes: true })) {
  if (!room.isDirectory() || NOT_OURS.has(room.name) || (rooms.length && !rooms.includes(room.name))) continue;
  for (const file of readdirSync(join(HERE, room.name), { recursive: true }))
    if (file.endsWith(".sol")) sources[`${room.name}/${file}`] = { content: readFileSync(join(HERE, room.name, file), "utf8") };
}
const read = (path) => {
  const file = path.startsWith("@") ? join(HERE, "node_modules", path) : join(HERE, path);
  if (!existsSync(file)) return { error: `no such file: ${path}` };
  texts[path] = readFileSync(file, "utf8");
  return { contents: texts[path] };
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
const write = (path, text) => {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
};
for (const [path, { content }] of Object.entries(sources)) write(path, content);
for (const [path, text] of Object.entries(texts)) write(path.startsWith("@") ? join("node_modules", path) : path, text);
write("hardhat.config.js", ""); // slither takes a folder for a project by this name; there is no Hardhat in it
const solcVersion = solc.version().split("+")[0];
write("artifacts/build-info/contracts.json", JSON.stringify({ solcVersion, input, output }));
